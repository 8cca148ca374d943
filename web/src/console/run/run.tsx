/** One run: its tape, played from any moment, and all that is known of it. */

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { admin, type RunDetail } from "../api.ts";
import { count, duration, lately, millis, rate } from "../format.ts";
import { Events } from "../parts/events.tsx";
import { Failure, isMissing, Missing } from "../parts/failure.tsx";
import { Inspector } from "../parts/inspector.tsx";
import { Summary, type Facts } from "../parts/summary.tsx";
import { Watchers } from "../parts/watchers.tsx";
import { usePoll } from "../poll.ts";
import { type Route, routeTo, setQuery } from "../route.ts";
import { stateOf } from "../runs/columns.tsx";
import { StopDialog } from "../runs/stop-dialog.tsx";
import { asked, Attempts, Members } from "./facts.tsx";
import type { Recording } from "./recording.ts";
import { Text } from "./text.tsx";
import { Timeline, timelineKey } from "./timeline.tsx";
import { useCount, usePlayhead, useRecorded, useRecording } from "./use-recording.ts";

/** Milliseconds between two looks: the server reads the whole record for each. */
const LIVE = 3000;
/** Where keys have a meaning of their own. */
const OWN_KEYS = "input, select, textarea, button, a, summary, dialog, .scrolling, .grid-table, [role=dialog]";

export function Run({ id, query }: { id: string; query: Route["query"] }) {
  const recording = useRecording(id);
  const ended = useSyncExternalStore(recording.recorded.subscribe, () => recording.recorded.get().tape.ended);
  const { data, error, refresh } = usePoll(`${id} ${ended}`, (signal) => admin.run(id, signal), LIVE, ({ state }) => state === "done");
  const [stopping, setStopping] = useState(false);
  const stream = data?.stream ?? `runs/${id}`;
  const resumes = useMemo(() => data?.marks.filter(({ kind }) => kind === "resume") ?? [], [data]);
  useEffect(() => {
    function press(event: KeyboardEvent): void {
      if (event.target instanceof Element && event.target.closest(OWN_KEYS)) return;
      if (timelineKey(event, recording, resumes)) event.preventDefault();
    }
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [recording, resumes]);

  if (isMissing(error) && !data) return <Missing what="run" name={id} error={error} />;
  return (
    <div className="run-page">
      <header className="title">
        <h1 className="mono">{id}</h1>
        {data && (
          <span className="badge" data-state={stateOf(data)} role="status">
            {stateOf(data)}
          </span>
        )}
        <span className="grow" />
        {data && data.state !== "done" && (
          <button type="button" className="danger" onClick={() => setStopping(true)}>
            Stop…
          </button>
        )}
      </header>
      <Failure error={error} data={data} />
      <About run={data} />
      <Notices recording={recording} run={data} />
      <Timeline recording={recording} resumes={resumes} />
      <div className="halves">
        <RunEvents recording={recording} selected={query.event} />
        <Text recording={recording} />
      </div>
      <div className="halves wide">
        <Watchers stream={stream} {...(stream !== `runs/${id}` && { run: id })} />
        <Attempts attempts={data?.attempts ?? []} />
      </div>
      <div className="thirds">
        <Members title="Usage" of={data?.usage ?? null} />
        <Members title="Request" of={data ? asked(data.request) : null} />
        <Members title="Metadata" of={data?.request.metadata ?? null} isCounted={false} />
      </div>
      {query.event && <RunInspector recording={recording} stream={stream} cursor={query.event} />}
      {stopping && (
        <StopDialog
          ids={[id]}
          onClose={() => {
            setStopping(false);
            refresh();
          }}
        />
      )}
    </div>
  );
}

function About({ run }: { run: RunDetail | undefined }) {
  const channel = run && run.stream !== `runs/${run.id}` ? run.stream : undefined;
  const facts: Facts = [
    ["Model", run ? [...new Set([run.model, run.provider])].filter(Boolean).join(" at ") : "–"],
    ["Began", lately(run && run.created_at * 1000)],
    [run?.state === "done" ? "Took" : "Age", duration(run?.age)],
    ["Tokens", count(run?.tokens)],
    ["Tokens/s", rate(run?.rate)],
    ["First token", millis(run?.ttft_ms)],
    ["Watchers", count(run?.watchers)],
    ["Worst lag", count(run?.lag)],
    ...(channel ? [["Channel", channel, <a href={routeTo(`streams/${channel}`)}>{channel}</a>] as const] : []),
  ];
  return <Summary facts={facts} />;
}

function Notices({ recording, run }: { recording: Recording; run: RunDetail | undefined }) {
  const { tape, trimmed, failure } = useRecorded(recording);
  const said = [
    run?.error && `It failed: ${run.error.code}: ${run.error.message}`,
    failure && `Its tape cannot be read any further: ${failure.message}`,
    trimmed && "The beginning of this tape is gone: past its retention.",
    tape.full && `This page shows the first ${count(tape.events.length)} events; there are more.`,
  ].filter(Boolean);
  return said.map((text, number) => (
    <p key={number} className="notice" data-hue={run?.error && number === 0 ? "bad" : "warn"}>
      {text}
    </p>
  ));
}

function RunEvents({ recording, selected }: { recording: Recording; selected: string | undefined }) {
  const { tape } = useRecorded(recording);
  const { place } = usePlayhead(recording);
  const played = useCount(recording);
  return <Events events={tape.events} played={played} moving={place !== null || tape.isLive} begin={tape.begin} selected={selected} onSelect={(event) => setQuery({ event })} />;
}

function RunInspector({ recording, stream, cursor }: { recording: Recording; stream: string; cursor: string }) {
  const { tape } = useRecorded(recording);
  return <Inspector stream={stream} cursor={cursor} events={tape.events} />;
}
