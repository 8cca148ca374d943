/** Numbers and sentences of the panes. */

import type { Relation } from "./equality.ts";
import type { Gap, State, Watcher } from "./watcher.ts";
import type { Verdict } from "./verdict.ts";
import { NAMES } from "./watchers.ts";

const FORMAT = new Intl.NumberFormat("en");

export const count = (value: number): string => FORMAT.format(value);

export const some = (value: number, noun: string): string => `${count(value)} ${noun}${value === 1 ? "" : "s"}`;

export const bytes = (value: number): string => (value < 10_000 ? `${count(value)} B` : `${count(Math.round(value / 1000))} kB`);

export const STATES: Readonly<Record<State, string>> = {
  connecting: "Connecting",
  live: "Live",
  cut: "Cut",
  waiting: "Reconnecting",
  ended: "Complete",
  failed: "Failed",
};

/** How a watcher came in. */
export function entrance({ isLate, transport, from }: Watcher): string {
  if (!isLate) return transport === "sse" ? "Server-sent events" : "tokentape.v1";
  return `${NAMES[transport]}, from ${from}`;
}

/** What a time without a connection cost. */
export function account(gap: Gap): string {
  if (gap.seconds === undefined) return `Has everything up to ${gap.cursor || "the beginning"}.`;
  const came = `Back after ${gap.seconds.toFixed(1)} s, from ${gap.cursor || "the start"}:`;
  if (gap.missed === 0) return `${came} ${gap.outcome === "live" ? "nothing was missed." : "catching up…"}`;
  return `${came} ${some(gap.missed, "missed event")} came as ${count(gap.merged)}${gap.over ? "." : " so far…"}`;
}

/** What was counted, once there is something to count. */
export function tally(repeated: number, relation: Relation | undefined): string {
  const lost = relation?.kind === "differs" ? relation.lost : 0;
  return `${count(lost)} lost, ${count(repeated)} repeated`;
}

export function sentence(verdict: Verdict, watchers: number): string {
  const all = some(watchers, "watcher");
  switch (verdict.kind) {
    case "none":
      return watchers === 0 ? "Nobody watches: add somebody." : "Nothing has come yet.";
    case "so-far":
      return `${all}, the same up to event ${count(verdict.upto)}.`;
    case "equal":
      return `${all} and the tape: the same ${some(verdict.characters, "character")}, 0 lost, 0 repeated.`;
    case "too-long":
      return "The answer is longer than what is kept here to be compared.";
    case "differs": {
      const where = verdict.at === undefined ? "" : `${verdict.who} differs from event ${count(verdict.at)} on: `;
      return `${where}${count(verdict.lost)} lost, ${count(verdict.repeated)} repeated.`;
    }
  }
}

export const VERDICTS: Readonly<Record<Verdict["kind"], string>> = {
  none: "Waiting",
  "so-far": "Equal so far",
  equal: "Equal",
  differs: "Differs",
  "too-long": "Too long",
};
