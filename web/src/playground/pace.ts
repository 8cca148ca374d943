/** What is noted of a run, in figures to be read. Pure. */

import type { Note } from "./notes.ts";

/** `counted`: its tokens as the provider counted them. All times are the server's: the clock of this device may be wrong. */
export function figuresOf(note: Note | undefined, counted: number | undefined): string[] {
  if (!note) return [];
  const { model, started, first, latest, ended } = note;
  const tokens = counted ?? note.tokens;
  const seconds = first === undefined ? 0 : ((ended ?? latest ?? first) - first) / 1000;
  return [
    model ?? "",
    tokens > 0 ? `${tokens.toLocaleString()} tokens` : "",
    tokens > 1 && seconds >= 0.05 ? `${Math.round(tokens / seconds).toLocaleString()} tokens/s` : "",
    first !== undefined && started !== undefined ? `first after ${duration(first - started)}` : "",
  ].filter(Boolean);
}

function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.max(0, Math.round(milliseconds))} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
