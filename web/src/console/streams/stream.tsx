/** A channel, or any other stream: its events as they come, its past, who watches it, and who is there. */

import { useEffect } from "react";
import { admin, type StreamInfo } from "../api.ts";
import { bytes, count, lately } from "../format.ts";
import { Events } from "../parts/events.tsx";
import { Failure, isMissing, Missing } from "../parts/failure.tsx";
import { Summary, type Facts } from "../parts/summary.tsx";
import { Watchers } from "../parts/watchers.tsx";
import { usePoll } from "../poll.ts";
import { type Route, routeTo, setQuery } from "../route.ts";
import { History } from "./history.tsx";
import { LiveEvents } from "./live-events.tsx";
import { Messages } from "./messages.tsx";
import { Presence } from "./presence.tsx";
import { Records } from "./records.tsx";

const VIEWS = [
  { view: "live", label: "Live" },
  { view: "history", label: "History" },
  { view: "messages", label: "Messages" },
] as const;

export function Stream({ name, query }: { name: string; query: Route["query"] }) {
  const { data, error } = usePoll(name, (signal) => admin.stream(name, signal), 3000);
  const isRun = name.startsWith("runs/");
  useEffect(() => {
    if (isRun) location.replace(routeTo(`runs/${name.slice(5)}`, { event: query.event }));
  }, [isRun, name, query.event]);
  if (isRun) return null;
  if (isMissing(error) && !data) return <Missing what="stream" name={name} error={error} />;
  const isChannel = data?.kind === "channel";
  return (
    <>
      <header className="title">
        <h1 className="mono">{name}</h1>
        {data && (
          <span className="badge" data-state={data.closed ? undefined : "live"}>
            {data.closed ? "closed" : "open"}
          </span>
        )}
      </header>
      <Failure error={error} data={data} />
      <About stream={data} />
      {isChannel ? (
        <ChannelEvents name={name} query={query} />
      ) : data ? (
        <Records stream={data} selected={query.event} />
      ) : (
        // As high as what comes; what that is, is not known yet.
        <Events events={[]} onSelect={() => {}} empty={error ? "Nothing was read." : "Loading…"} />
      )}
      <div className={isChannel ? "halves wide" : undefined}>
        <Watchers stream={name} />
        {isChannel && <Presence name={name} />}
      </div>
    </>
  );
}

function ChannelEvents({ name, query }: { name: string; query: Route["query"] }) {
  const { view } = VIEWS.find((each) => each.view === query.view) ?? VIEWS[0];
  return (
    <>
      <div className="bar">
        <div className="segments" role="group" aria-label="Events">
          {VIEWS.map((each) => (
            <button
              key={each.view}
              type="button"
              aria-pressed={each.view === view}
              onClick={() => setQuery({ view: each.view === "live" ? undefined : each.view, before: undefined, after: undefined, page: undefined, event: undefined })}
            >
              {each.label}
            </button>
          ))}
        </div>
      </div>
      {view === "live" && <LiveEvents name={name} selected={query.event} />}
      {view === "history" && <History name={name} query={query} />}
      {view === "messages" && <Messages name={name} query={query} />}
    </>
  );
}

function About({ stream }: { stream: StreamInfo | undefined }) {
  const facts: Facts = [
    ["Kind", stream ? (stream.kind ?? stream.content_type) : "–"],
    ["Head", stream?.cursor ?? "–"],
    ["Events kept", stream ? count(stream.last && stream.last - stream.first + 1) : "–"],
    ["Size", bytes(stream?.bytes)],
    ["Made", lately(stream && (stream.created_at || null))],
    ["Newest event", lately(stream && (stream.appended_at || null))],
    ["Watchers", count(stream?.watchers)],
  ];
  return <Summary facts={facts} />;
}
