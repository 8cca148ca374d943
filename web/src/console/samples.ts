/** Samples as the columns that a chart wants; a second that was not measured is a gap. */

import type { Percentiles, Sample } from "./api.ts";

/** Both in one row, by their time, each once, the newest `kept` of them. */
export function join(old: readonly Sample[], more: readonly Sample[], kept: number): readonly Sample[] {
  const last = old.at(-1)?.at ?? -Infinity;
  // Most often one that is newer than all that are there.
  if (more.every(({ at }, place) => at > (more[place - 1]?.at ?? last))) return [...old, ...more].slice(-kept);
  const byTime = new Map([...old, ...more].map((sample) => [sample.at, sample]));
  return [...byTime.values()].sort((a, b) => a.at - b.at).slice(-kept);
}

/** What a line of a chart shows. */
export type Reading = (sample: Sample) => number | null;

export type Columns = [number[], ...(number | null)[][]];

/** Seconds between two samples, beyond which something is missing between them. */
const GAP = 2.5;

/** The samples of the last `span` seconds: times, then a column for each reading. */
export function columns(samples: readonly Sample[], readings: readonly Reading[], span: number): Columns {
  const times: number[] = [];
  const values: (number | null)[][] = readings.map(() => []);
  const newest = samples.at(-1)?.at ?? 0;
  for (const sample of samples) {
    if (sample.at <= newest - span) continue;
    const before = times.at(-1);
    if (before !== undefined && sample.at - before > GAP) {
      times.push((before + sample.at) / 2);
      for (const column of values) column.push(null);
    }
    times.push(sample.at);
    values.forEach((column, place) => column.push(readings[place]!(sample)));
  }
  return [times, ...values];
}

export const percentile = (which: "ttft" | "inter_token" | "delivery", rank: Exclude<keyof Percentiles, "count">): Reading => (sample) =>
  sample[which].count === 0 ? null : sample[which][rank];

/** What a chart says in words. */
export function inWords(name: string, column: readonly (number | null)[], say: (value: number | null) => string): string {
  const known = column.filter((value) => value !== null);
  if (known.length === 0) return `${name}: nothing measured`;
  return `${name}: now ${say(column.at(-1) ?? null)}, from ${say(Math.min(...known))} to ${say(Math.max(...known))}`;
}
