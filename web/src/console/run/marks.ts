/** The marks of a timeline: those of the tape, and watchers that came back, which no tape has. Pure. */

import type { RunDetail } from "../api.ts";
import type { Mark, Tape } from "./tape.ts";

/** Watchers that came back within so small a part of a run are one mark: a thousand come at once. */
const PARTS = 240;

export function withResumes({ marks, begin, duration }: Pick<Tape, "marks" | "begin" | "duration">, resumes: RunDetail["marks"]): readonly Mark[] {
  const placed: Mark[] = [];
  for (const { at, label } of resumes) {
    const time = at * 1000 - begin;
    if (time < 0 || time > duration) continue;
    const last = placed.at(-1);
    if (last && time - last.time < duration / PARTS) {
      const times = (last.times ?? 1) + 1;
      placed[placed.length - 1] = { ...last, times, label: `${times} watchers came back` };
    } else placed.push({ kind: "resume", label, time });
  }
  return placed.length === 0 ? marks : [...marks, ...placed].sort((one, other) => one.time - other.time);
}
