/** All watchers of one run that the page has, the tape that they are compared with, and the verdict. */

import type { From, TokentapeError } from "tokentape";
import { client } from "../../app/server.ts";
import { hashOf, relate, type Relation } from "./equality.ts";
import { createWatcher, type Watcher } from "./watcher.ts";
import { readTape, type Tape } from "./tape.ts";

/** Milliseconds between two comparisons while something comes. */
const COMPARE = 250;
export const MAX_WATCHERS = 6;
/** A browser opens six connections to one server over HTTP/1.1, and the page needs some of them itself. */
export const MAX_STREAMS = 4;
export const NAMES = { sse: "SSE", ws: "WebSocket" } as const;
/** Who is there from the beginning. */
const FIRST = ["sse", "ws"] as const;

export interface Verdict {
  /** `so-far`: each has the beginning of the longest. `equal`: all have all of the tape, and it has ended. */
  kind: "none" | "so-far" | "equal" | "differs";
  /** The last offset that all of them have. */
  upto: number;
  /** The first offset at which one differs, and who. */
  at?: number;
  who?: string;
  lost: number;
  repeated: number;
  /** Characters of the text. */
  characters: number;
  /** SHA-256 of the text that is shown, when all are equal; of the tape, too. */
  hash?: string | undefined;
}

export interface Shown {
  readonly watchers: readonly Watcher[];
  readonly verdict: Verdict;
  /** How each watcher stands to the longest. */
  readonly relations: ReadonlyMap<string, Relation>;
  /** Whether more may come. */
  readonly live: boolean;
  /** Why there is no tape to compare with. */
  readonly error?: TokentapeError | undefined;
}

export interface Watchers {
  readonly run: string;
  get(): Shown;
  subscribe(listener: () => void): () => void;
  /** Called once per frame in which something came; `settle` after all have painted. */
  onFrame(paint: () => void, settle?: () => void): () => void;
  /** Milliseconds of the common clock. */
  now(): number;
  /** The last offset that anybody has. */
  head(): number;
  add(transport: "sse" | "ws", from: From): void;
  remove(id: string): void;
  close(): void;
}

const NOTHING: Verdict = { kind: "none", upto: 0, lost: 0, repeated: 0, characters: 0 };

export function createWatchers(run: string): Watchers {
  const began = performance.now();
  const now = (): number => performance.now() - began;
  const listeners = new Set<() => void>();
  const painters = new Set<{ paint: () => void; settle: (() => void) | undefined }>();
  let shown: Shown = { watchers: [], verdict: NOTHING, relations: new Map(), live: true };
  let frame: number | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;
  let made = 0;

  function tell(): void {
    shown = { ...shown };
    for (const listener of [...listeners]) listener();
  }

  function came(): void {
    if (closed) return;
    frame ??= requestAnimationFrame(() => {
      frame = undefined;
      for (const { paint } of painters) paint();
      for (const { settle } of painters) settle?.();
    });
    timer ??= setTimeout(() => {
      timer = undefined;
      compare();
    }, COMPARE);
  }

  function changed(): void {
    tell();
    came();
  }

  const head = (): number => Math.max(tape.ledger.offset, ...shown.watchers.map(({ ledger }) => ledger.offset));

  function compare(): void {
    const { verdict, relations } = judge(shown.watchers, tape);
    const { hash } = shown.verdict;
    const live = !tape.ledger.ended && !tape.error;
    shown = { ...shown, verdict: { ...verdict, hash: verdict.kind === "equal" ? hash : undefined }, relations, live, error: tape.error };
    if (verdict.kind === "equal" && !hash) void prove();
    tell();
  }

  /** The text that is shown, and the tape's, by their hashes. */
  async function prove(): Promise<void> {
    const whole = shown.watchers.filter(({ from }) => from !== "now");
    const hashes = await Promise.all([tape, ...whole].map(({ ledger }) => hashOf(ledger.text)));
    const hash = hashes.every((each) => each === hashes[0]) ? hashes[0] : undefined;
    if (shown.verdict.kind !== "equal" || !hash) return;
    shown = { ...shown, verdict: { ...shown.verdict, hash } };
    tell();
  }

  const tape = readTape(client, run, came);

  const watchers: Watchers = {
    run,
    now,
    head,
    get: () => shown,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onFrame(paint, settle) {
      const painter = { paint, settle };
      painters.add(painter);
      came();
      return () => painters.delete(painter);
    },
    add(transport, from) {
      if (shown.watchers.length >= MAX_WATCHERS) return;
      made += 1;
      const isLate = made > FIRST.length;
      const name = isLate ? `Late ${made - FIRST.length}` : NAMES[transport];
      const watcher = createWatcher({ id: `w${made}`, name, isLate, run, transport, from, head, now, changed, came });
      shown = { ...shown, watchers: [...shown.watchers, watcher] };
      changed();
    },
    remove(id) {
      shown.watchers.find((watcher) => watcher.id === id)?.close();
      shown = { ...shown, watchers: shown.watchers.filter((watcher) => watcher.id !== id) };
      changed();
    },
    close() {
      for (const watcher of shown.watchers) watcher.close();
      tape.close();
      closed = true;
      clearTimeout(timer);
      if (frame !== undefined) cancelAnimationFrame(frame);
      painters.clear();
      listeners.clear();
    },
  };
  for (const transport of FIRST) watchers.add(transport, "start");
  return watchers;
}

function judge(watchers: readonly Watcher[], tape: Tape): Pick<Shown, "verdict" | "relations"> {
  const relations = new Map<string, Relation>();
  const whole = watchers.filter(({ from }) => from !== "now");
  // The tape is read once a second only.
  const longest = whole.reduce((most, { ledger }) => (ledger.record.length > most.record.length ? ledger : most), tape.ledger);
  const verdict: Verdict = { ...NOTHING, characters: longest.text.length, upto: longest.offset };
  for (const { id, name, ledger } of watchers) {
    let relation = relate(ledger, tape.ledger, true);
    // Beyond what was read of the tape, by who has most; which cannot be said of who joined where that one has no mark.
    if (relation.kind === "unknown" || (relation.kind === "prefix" && ledger.offset > tape.ledger.offset)) {
      const ahead = relate(ledger, longest, false);
      if (ahead.kind !== "unknown") relation = ahead;
    }
    relations.set(id, relation);
    verdict.upto = Math.min(verdict.upto, ledger.offset);
    verdict.repeated += ledger.repeated;
    if (relation.kind !== "differs") continue;
    verdict.lost += relation.lost;
    if (verdict.at === undefined || relation.offset < verdict.at) Object.assign(verdict, { at: relation.offset, who: name });
  }
  const each = [...relations.values()];
  const differs = verdict.repeated > 0 || each.some(({ kind }) => kind === "differs");
  const equal = each.every(({ kind }) => kind === "whole");
  const isNothing = watchers.length === 0 || longest.received === 0;
  verdict.kind = isNothing ? "none" : differs ? "differs" : equal ? "equal" : "so-far";
  return { verdict, relations };
}
