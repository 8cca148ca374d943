/** A run's tape, indexed by time: what had been said at any moment of it. Pure; it grows as events come. */

import { parseCursor, type TapeEvent } from "tokentape";

export type MarkKind = "start" | "first_token" | "stall" | "tool" | "reset" | "retry" | "error" | "resume" | "stop" | "end";

/** Something that one looks for on a timeline. */
export interface Mark {
  readonly kind: MarkKind;
  readonly label: string;
  /** Milliseconds after the first event. */
  readonly time: number;
  /** Where it ends; of a stall. */
  readonly until?: number;
  /** How many there were, if it stands for several. */
  readonly times?: number;
}

/** A tool call, or its result, and the event that had it. */
export interface Tool {
  readonly index: number;
  readonly kind: "call" | "result";
  readonly id: string;
  readonly name: string;
  readonly text: string;
}

/** Without any event for so long, a run has stalled; as the server has it. */
const STALL = 1000;
/** Events that a page keeps. */
const MOST_EVENTS = 100_000;
/** Characters of theirs. */
const MOST_CHARACTERS = 50_000_000;
const MOST_MARKS = 300;

export class Tape {
  readonly events: TapeEvent[] = [];
  /** Of each event, milliseconds after the first one; they never go back. */
  readonly times: number[] = [];
  readonly marks: Mark[] = [];
  readonly tools: Tool[] = [];
  /** The clock of the first event. */
  begin = 0;
  /** Its end was recorded. */
  ended = false;
  /** There is more than a page keeps. */
  full = false;
  /** It cannot be read any further, though its end was not recorded. */
  cut = false;

  // A reset begins a new text. Of each event: which text that is, and how long it and the reasoning are after it.
  #texts: string[] = [""];
  #reasonings: string[] = [""];
  #segments: number[] = [];
  #lengths: number[] = [];
  #reasoningLengths: number[] = [];
  #hasSpoken = false;
  #size = 0;

  /** Whether more may come. */
  get isLive(): boolean {
    return !this.ended && !this.full && !this.cut;
  }

  get duration(): number {
    return this.times.at(-1) ?? 0;
  }

  /** Takes the next event; those that no tape has, `ready` and what was only shown, are passed over. */
  add(event: TapeEvent): void {
    if (event.cursor === undefined) return;
    this.#size += worded(event.data).length;
    if (this.events.length >= MOST_EVENTS || this.#size > MOST_CHARACTERS) this.full = true;
    if (this.full) return;
    this.begin ||= event.at ?? 0;
    const before = this.duration;
    const time = Math.max(before, (event.at ?? 0) - this.begin);
    if (this.events.length > 0 && time - before >= STALL && event.type !== "done") {
      this.#mark("stall", `${((time - before) / 1000).toFixed(1)} s without an event`, before, time);
    }
    this.#take(event, time);
    this.events.push(event);
    this.times.push(time);
    this.#segments.push(this.#texts.length - 1);
    this.#lengths.push(this.#texts.at(-1)!.length);
    this.#reasoningLengths.push(this.#reasonings.at(-1)!.length);
  }

  /** How many events there were at that moment. */
  countAt(time: number): number {
    let [low, high] = [0, this.times.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.times[middle]! <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** What had been said after so many events. */
  textAfter(count: number): string {
    return count === 0 ? "" : this.#texts[this.#segments[count - 1]!]!.slice(0, this.#lengths[count - 1]);
  }

  reasoningAfter(count: number): string {
    return count === 0 ? "" : this.#reasonings[this.#segments[count - 1]!]!.slice(0, this.#reasoningLengths[count - 1]);
  }

  #take(event: TapeEvent, time: number): void {
    const { type, data } = event;
    if (!this.#hasSpoken && (type === "token" || type === "reasoning" || type === "tool_call_delta" || type === "tool_call")) {
      this.#hasSpoken = true;
      this.#mark("first_token", `first token, after ${time.toFixed(0)} ms`, time);
    }
    switch (type) {
      case "token":
        this.#texts[this.#texts.length - 1] += data;
        break;
      case "reasoning":
        this.#reasonings[this.#reasonings.length - 1] += data;
        break;
      case "start":
        this.#mark("start", `${data.model} at ${data.provider}`, time);
        break;
      case "tool_call":
        this.#mark("tool", `${data.name ?? data.id}`, time);
        this.tools.push({ index: this.events.length, kind: "call", id: data.id, name: data.name ?? "", text: worded(data.arguments) });
        break;
      case "tool_result":
        this.tools.push({ index: this.events.length, kind: "result", id: data.id, name: "", text: worded(data.output) });
        break;
      case "reset":
        this.#mark("reset", data.reason, time);
        this.#texts.push("");
        this.#reasonings.push("");
        break;
      case "status":
        if (data?.state === "retrying") this.#mark("retry", `trying again: ${String(data.code ?? "")}`, time);
        break;
      case "error":
        this.#mark("error", `${data.code}: ${data.message}`, time);
        break;
      case "done":
        this.ended = true;
        this.#mark(data.reason === "stopped" ? "stop" : "end", [data.reason, data.detail].filter(Boolean).join(": "), time);
    }
  }

  #mark(kind: MarkKind, label: string, time: number, until?: number): void {
    // The end has its place however much came before it.
    if (this.marks.length >= MOST_MARKS && kind !== "stop" && kind !== "end") return;
    this.marks.push({ kind, label: String(label).slice(0, 200), time, ...(until !== undefined && { until }) });
  }
}

/** The offset of an event. */
export const offsetOf = (event: { cursor?: string | undefined }): number => parseCursor(event.cursor)?.offset ?? 0;

function worded(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

/** How many events there are in each of so many equal parts of the time, from 0 to 1 of the fullest. */
export function density(times: readonly number[], parts: number): number[] {
  const counts = new Array<number>(parts).fill(0);
  const span = (times.at(-1) ?? 0) || 1;
  for (const time of times) counts[Math.min(parts - 1, Math.floor((time / span) * parts))]! += 1;
  const most = Math.max(1, ...counts);
  // By the square root, so that a slow answer is still seen beside a burst.
  return counts.map((count) => Math.sqrt(count / most));
}
