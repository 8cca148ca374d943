/** All watchers of one run that the page has, the tape that they are compared with, and the verdict. */

import type { From, TokentapeError } from "tokentape";
import { client } from "../../app/server.ts";
import { hashOf } from "./equality.ts";
import { createWatcher, type Watcher } from "./watcher.ts";
import { readTape } from "./tape.ts";
import { judge, type Judgement, NOTHING } from "./verdict.ts";

/** Milliseconds between two comparisons while something comes. */
const COMPARE = 250;
export const MAX_WATCHERS = 6;
/** A browser opens six connections to one server over HTTP/1.1, and the page needs some of them itself. */
export const MAX_STREAMS = 4;
export const NAMES = { sse: "SSE", ws: "WebSocket" } as const;
/** Who is there from the beginning. */
const FIRST = ["sse", "ws"] as const;

export interface Shown extends Judgement {
  readonly watchers: readonly Watcher[];
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
