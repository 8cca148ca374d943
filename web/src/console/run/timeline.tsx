/** The scrubber: the whole run from left to right, where the playhead is, and what there is to look for. */

import { useMemo, useRef, type PointerEvent } from "react";
import type { RunDetail } from "../api.ts";
import { clock, count } from "../format.ts";
import { PlaySign } from "../parts/pause.tsx";
import { withResumes } from "./marks.ts";
import { moved, SPEEDS, stepped, toggled } from "./playhead.ts";
import type { Recording } from "./recording.ts";
import { density, type Mark, type MarkKind } from "./tape.ts";
import { useCount, usePlayhead, useRecorded } from "./use-recording.ts";

const PARTS = 240;
/** Milliseconds of one press of an arrow, at least; else a hundredth of the run. */
const STEP = 100;
/** Marks that are buttons; on the track there are all. */
const LISTED = 60;

export const SIGNS: Record<MarkKind, { word: string; hue: string }> = {
  start: { word: "Start", hue: "quiet" },
  first_token: { word: "First token", hue: "ok" },
  stall: { word: "Stall", hue: "warn" },
  tool: { word: "Tool", hue: "ws" },
  reset: { word: "Reset", hue: "bad" },
  retry: { word: "Retry", hue: "warn" },
  error: { word: "Error", hue: "bad" },
  resume: { word: "Resume", hue: "late" },
  stop: { word: "Stopped", hue: "warn" },
  end: { word: "End", hue: "quiet" },
};

/** `resumes` are of watchers that came back, which no tape has. */
export function Timeline({ recording, resumes }: { recording: Recording; resumes: RunDetail["marks"] }) {
  const { tape } = useRecorded(recording);
  const { place, playing, speed } = usePlayhead(recording);
  const shown = useCount(recording);
  const { duration, ended, events, isLive } = tape;
  const marks = withResumes(tape, resumes);
  // The last one is the end: it is there however many there are.
  const left = Math.max(0, marks.length - LISTED);
  const here = place ?? duration;
  // While it is live the shape of the whole changes; often enough is enough.
  const wave = useMemo(() => wavePath(tape.times), [tape, isLive, Math.floor(duration / 500)]);
  const at = (ms: number): string => `${duration ? (ms / duration) * 100 : ended ? 100 : 0}%`;

  return (
    <section className="timeline card" aria-label="Timeline">
      <div className="controls">
        <button type="button" className="play" onClick={() => recording.turn((head, whole) => toggled(head, whole, isLive))} aria-label={playing || (place === null && isLive) ? "Pause" : "Play"}>
          <PlaySign playing={playing || (place === null && isLive)} />
        </button>
        <div className="segments" role="group" aria-label="Speed">
          {SPEEDS.map((each) => (
            <button key={each} type="button" aria-pressed={each === speed} title={each === 1 ? "True speed: as it was generated" : `${each} times as fast`} onClick={() => recording.turn((head) => ({ ...head, speed: each }))}>
              {each}×
            </button>
          ))}
        </div>
        <button type="button" aria-pressed={place === null} onClick={() => recording.turn((head) => ({ ...head, place: null, playing: false }))}>
          {isLive ? "Live" : "At once"}
        </button>
        <output className="number" data-part="clock">
          {clock(here)} <span className="quiet">/ {clock(duration)}</span>
        </output>
        <span className="grow" />
        <span className="quiet small number" data-part="shown">
          {shown === events.length ? `${count(shown)} events` : `${count(shown)} of ${count(events.length)} events`}
        </span>
      </div>
      <Track recording={recording} here={here} duration={duration} at={at} marks={marks} wave={wave} />
      <ol className="marks" aria-label="Marks">
        {marks.toSpliced(LISTED - 1, left).map((mark, number) => (
          <li key={number}>
            {left > 0 && number === LISTED - 1 && <span className="quiet small">{count(left)} more, then</span>}
            <button type="button" data-hue={SIGNS[mark.kind].hue} data-passed={mark.time <= here} title={mark.label} onClick={() => recording.turn((head, whole) => moved(head, mark.time, whole))}>
              <i /> {SIGNS[mark.kind].word}
              {mark.times && ` ×${mark.times}`}
              <span className="quiet number">{clock(mark.time)}</span>
            </button>
          </li>
        ))}
      </ol>
    </section>
  );
}

interface TrackProps {
  recording: Recording;
  here: number;
  duration: number;
  at: (ms: number) => string;
  marks: readonly Mark[];
  wave: string;
}

function Track({ recording, here, duration, at, marks, wave }: TrackProps) {
  const node = useRef<HTMLDivElement>(null);

  function drag(event: PointerEvent): void {
    const { left, width } = node.current!.getBoundingClientRect();
    recording.turn((head, whole) => moved(head, ((event.clientX - left) / width) * whole, whole));
  }

  return (
    <div
      ref={node}
      className="track"
      role="slider"
      tabIndex={0}
      aria-label="Playhead"
      aria-valuemin={0}
      aria-valuemax={Math.round(duration)}
      aria-valuenow={Math.round(here)}
      aria-valuetext={`${clock(here)} of ${clock(duration)}`}
      aria-keyshortcuts="Space ArrowLeft ArrowRight Shift+ArrowLeft Shift+ArrowRight Home End"
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        drag(event);
      }}
      onPointerMove={(event) => event.currentTarget.hasPointerCapture(event.pointerId) && drag(event)}
    >
      <svg className="wave" viewBox={`0 0 ${PARTS} 1`} preserveAspectRatio="none" aria-hidden="true">
        <path d={wave} />
      </svg>
      <div className="after" style={{ left: at(here) }} />
      {marks.map((mark, number) => (
        <span
          key={number}
          className="mark"
          data-kind={mark.kind}
          data-hue={SIGNS[mark.kind].hue}
          title={`${SIGNS[mark.kind].word}, ${clock(mark.time)}: ${mark.label}`}
          style={{ left: at(mark.time), ...(mark.until !== undefined && { width: `calc(${at(mark.until)} - ${at(mark.time)})` }) }}
        />
      ))}
      <div className="head" style={{ left: at(here) }} />
    </div>
  );
}

/** Keys of the whole page of a run; true where one was meant. */
export function timelineKey(event: KeyboardEvent, recording: Recording, resumes: RunDetail["marks"]): boolean {
  const { tape } = recording.recorded.get();
  const by = Math.max(STEP, tape.duration / 100);
  const moves: Record<string, () => void> = {
    " ": () => recording.turn((head, duration) => toggled(head, duration, tape.isLive)),
    ArrowLeft: () => (event.shiftKey ? step(false) : jump(-by)),
    ArrowRight: () => (event.shiftKey ? step(true) : jump(by)),
    ",": () => recording.turn((head, duration) => stepped(head, tape.times, false, duration)),
    ".": () => recording.turn((head, duration) => stepped(head, tape.times, true, duration)),
    Home: () => recording.turn((head, duration) => moved(head, 0, duration)),
    End: () => recording.turn((head, duration) => moved(head, duration, duration)),
  };
  const step = (forward: boolean): void => recording.turn((head, duration) => stepped(head, withResumes(tape, resumes).map(({ time }) => time), forward, duration));
  const jump = (ms: number): void => recording.turn((head, duration) => moved(head, (head.place ?? duration) + ms, duration));
  const move = event.ctrlKey || event.metaKey || event.altKey ? undefined : moves[event.key];
  // Held down, it would play and pause in turn.
  if (!(event.repeat && event.key === " ")) move?.();
  return move !== undefined;
}

function wavePath(times: readonly number[]): string {
  return density(times, PARTS)
    .map((height, part) => (height ? `M${part} 1V${(1 - height).toFixed(3)}H${part + 0.8}V1z` : ""))
    .join("");
}
