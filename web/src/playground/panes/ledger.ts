/**
 * What one watcher was given, kept so that it can be proven: each event's place in the stream, and what it said.
 *
 * `record` is the same for any way in which a stream was merged (PROTOCOL.md §2.3), so two watchers were given the same if
 * and only if their records are equal. Nothing of the client's own accounts is used.
 */

import { parseCursor, type TapeEvent } from "tokentape";

/** Characters, and events, of a ledger; what goes beyond is not kept, and not compared. */
const MAX_RECORD = 16_000_000;
const MAX_ENTRIES = 1_000_000;

export interface Ledger {
  /** The offset before the first event: where the run began in its stream, or where the watcher joined. */
  readonly base: number;
  /** The last offset that came. */
  readonly offset: number;
  readonly cursor: string;
  /** Everything that came, in one line. */
  readonly record: string;
  /** The answer as it is to be shown. */
  readonly text: string;
  /** How often `text` began anew. */
  readonly resets: number;
  /** Events as they came, merged or not. */
  readonly received: number;
  /** Events whose place had been taken already. */
  readonly repeated: number;
  /** The run said that it has ended. */
  readonly ended: boolean;
  /** It was too much to keep. */
  readonly full: boolean;
  /** Takes the next event; returns how many events of the stream it stands for. */
  take(event: TapeEvent): number;
  /** How long the record was at this offset; undefined where that is within a merged event. */
  lengthAt(offset: number): number | undefined;
  /** The offset of the event in which this place of the record is. */
  offsetAt(length: number): number;
}

/**
 * `single`: each event comes as it was recorded, so the record's length is known at any offset. Elsewhere a gap between two
 * offsets may be a merged event, or events of the stream that are not of this run.
 */
export function createLedger({ single = false }: { single?: boolean } = {}): Ledger {
  const offsets: number[] = [];
  const lengths: number[] = [];
  let epoch: string | undefined;
  let kind = "";

  function write(event: TapeEvent): void {
    const { type, data, run = "" } = event;
    const content = contentOf(event);
    // Pieces that the server may merge are joined, everything else stands for itself.
    const next = content === undefined ? `${type} ${run}` : `${type} ${run} ${content.key}`;
    if (next !== kind || content === undefined) ledger.record += mark(next);
    kind = next;
    ledger.record += content?.text ?? JSON.stringify(data);
    if (type === "token") ledger.text += data;
    else if (type === "reset") startText();
    else if (type === "done") ledger.ended = true;
  }

  function startText(): void {
    ledger.text = "";
    ledger.resets += 1;
  }

  function begin(cursor: string, anew: boolean): void {
    const at = parseCursor(cursor);
    if (!at || (epoch !== undefined && !anew)) return;
    epoch = at.epoch;
    ledger.base = ledger.offset = at.offset;
    ledger.cursor = cursor;
    ledger.record = kind = "";
    ledger.ended = ledger.full = false;
    offsets.length = lengths.length = 0;
    startText();
  }

  const ledger = {
    base: 0,
    offset: 0,
    cursor: "",
    record: "",
    text: "",
    resets: 0,
    received: 0,
    repeated: 0,
    ended: false,
    full: false,
    take(event: TapeEvent): number {
      if (event.type === "ready") {
        const { outcome, cursor } = event.data;
        begin(cursor, outcome === "gone" || (outcome === "snapshot" && epoch !== undefined));
        return 0;
      }
      const at = parseCursor(event.cursor);
      if (!at) return 0; // shown to whoever is there, and not on the tape
      ledger.received += 1;
      if (at.epoch !== epoch || at.offset <= ledger.offset) {
        ledger.repeated += 1;
        return 0;
      }
      const span = at.offset - ledger.offset;
      ledger.offset = at.offset;
      ledger.cursor = event.cursor!;
      ledger.full ||= ledger.record.length > MAX_RECORD || offsets.length > MAX_ENTRIES;
      if (ledger.full) {
        ledger.ended ||= event.type === "done";
        return span;
      }
      write(event);
      offsets.push(at.offset);
      lengths.push(ledger.record.length);
      return span;
    },
    lengthAt(offset: number): number | undefined {
      if (offset === ledger.base) return 0;
      const after = firstAtLeast(offsets, offset + 1);
      if (offset < ledger.base || offset > ledger.offset || (!single && offsets[after - 1] !== offset)) return undefined;
      return lengths[after - 1] ?? 0;
    },
    offsetAt: (length: number): number => offsets[firstAtLeast(lengths, length + 1)] ?? ledger.offset,
  };
  return ledger;
}

/** What can be merged with its neighbours: its text, and what it must have in common with them. */
function contentOf({ type, data }: TapeEvent): { key: string; text: string } | undefined {
  if (type === "token" || type === "reasoning") return { key: "", text: data };
  if (type === "tool_call_delta") return { key: data.id, text: data.arguments };
  return undefined;
}

// U+0000 cannot be told from text that holds one, but a difference would still be a difference.
const mark = (kind: string): string => `\0${kind}\0`;

/** A record that begins in the midst of what can be merged, as one that was watched from there has it. */
export const unmarked = (record: string): string => record.replace(/^\0[^\0]*\0/, "");

function firstAtLeast(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
