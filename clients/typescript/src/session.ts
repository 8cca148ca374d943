/**
 * The session of one watch: connect → play → wait → connect …, until the end; a pure machine.
 *
 *     state        ends by    next         what the caller does
 *     ──────────   ────────   ──────────   ─────────────────────────────────────────────────
 *     idle         begun      connecting   `connect`
 *     connecting   opened     playing
 *     connecting   ended      ended        `finish`: nothing follows this position
 *     playing      item       playing      `deliver`; after a run's `done` the state is ended
 *     playing      retry      playing
 *     playing      ended      ended        `finish`
 *     either       lost       waiting      `wait`, or failed and `fail` when that has gone on for too long
 *     either       refused    failed       `fail`
 *     waiting      waited     connecting   `connect`
 *
 * Laws (conformance/session.json, which Python's session passes too):
 * - a connection that ends before the terminal event is lost, however cleanly it ended (P4);
 * - each `connect` asks for exactly what follows the last event delivered, so none is missed or repeated (P1, P2);
 * - an event of another epoch, unless a `ready` announced it, is a broken connection, never silently taken for the next;
 * - ended and failed absorb everything.
 */

import { BACKOFF, type Backoff, delay } from "./backoff.ts";
import { parseCursor } from "./cursor.ts";
import { isObject, TokentapeError } from "./errors.ts";
import type { From, TapeEvent } from "./events.ts";

export type State = "idle" | "connecting" | "playing" | "waiting" | "ended" | "failed";

/** What happened. Times in milliseconds. */
export type Signal =
  | { type: "begun" }
  /** The server accepted; what comes next belongs to this watch. */
  | { type: "opened" }
  /** The server asks for this pause before each reconnection. */
  | { type: "retry"; ms: number }
  /** One event, and how much text it came as. */
  | { type: "item"; event: TapeEvent; size?: number }
  /** The server says that nothing follows, ever. */
  | { type: "ended" }
  /** The connection failed, broke or ended; another may do better, after `error.retryAfter` at the soonest. */
  | { type: "lost"; error: TokentapeError }
  /** The server's answer would be the same the next time. */
  | { type: "refused"; error: TokentapeError }
  | { type: "waited" };

/** The signal for an error answer: lost when the same request may do better later, else refused. */
export function refusal(error: TokentapeError): Signal {
  const again = error.retryable || error.status >= 500 || error.code === "internal_error";
  return { type: again ? "lost" : "refused", error };
}

export const invalid = (): TokentapeError => new TokentapeError("invalid_event", "The server sent what is no event.");

/** The signal for what should be an event. */
export function item(record: unknown, cursor: string | undefined, size: number): Signal {
  if (!isObject(record) || typeof record.type !== "string") {
    return { type: "lost", error: invalid() };
  }
  if (cursor !== undefined) record.cursor = cursor;
  return { type: "item", event: record as unknown as TapeEvent, size };
}

/** What to do about it. */
export type Action =
  | { type: "connect"; from: From }
  | { type: "deliver"; event: TapeEvent; size: number }
  | { type: "wait"; ms: number; error: TokentapeError }
  | { type: "finish" }
  | { type: "fail"; error: TokentapeError };

const NEXT: Readonly<Record<State, Partial<Record<Signal["type"], State>>>> = {
  idle: { begun: "connecting" },
  connecting: { opened: "playing", ended: "ended", lost: "waiting", refused: "failed" },
  playing: { retry: "playing", item: "playing", ended: "ended", lost: "waiting", refused: "failed" },
  waiting: { waited: "connecting" },
  ended: {},
  failed: {},
};

/** How long a watch goes on trying without any progress, in milliseconds: until it is first accepted, and after. */
export interface Patience {
  first: number;
  again: number;
}

/** A connection that stood for so long counts as a good one although it brought no event. */
const STEADY = 5_000;

export interface SessionOptions {
  from: From;
  /** The id of the run whose own view this is; none for a channel. */
  run?: string | undefined;
  backoff?: Partial<Backoff> | undefined;
  patience?: Partial<Patience> | undefined;
}

export interface Session {
  readonly state: State;
  /** What the next connection asks for. */
  readonly position: From;
  /** Whether nothing more will be delivered. */
  readonly over: boolean;
  /** Events that came although they had been delivered; a faithful server has none. */
  readonly repeated: number;
  /** Takes a signal. `now` is on a monotonic clock, in milliseconds; `random` is drawn evenly from 0…1. */
  step(signal: Signal, now: number, random: number): Action | undefined;
}

export function createSession({ from, run, backoff, patience }: SessionOptions): Session {
  const pace = { ...BACKOFF, ...backoff };
  const limits = { first: Infinity, again: Infinity, ...patience };
  const session = { state: "idle" as State, position: from, repeated: 0, over: false, step };
  let held = parseCursor(from);
  let hint = 0;
  let attempt = 0;
  let accepted = false;
  let openedAt = 0;
  let failingSince: number | undefined;

  function become(state: State): void {
    session.state = state;
    session.over = state === "ended" || state === "failed";
  }

  function progress(): void {
    attempt = 0;
    failingSince = undefined;
  }

  function take(event: TapeEvent, size: number, now: number, random: number): Action | undefined {
    const isReady = event.type === "ready";
    const text = isReady ? ((event.data as { cursor?: string } | null)?.cursor ?? "") : event.cursor;
    if (text !== undefined) {
      const cursor = parseCursor(text);
      if (!cursor || (!isReady && held && cursor.epoch !== held.epoch)) {
        const message = `The server went from ${session.position} to ${text} unannounced.`;
        return lose(new TokentapeError("protocol_error", message), now, random);
      }
      if (!isReady && held && cursor.offset <= held.offset) {
        // All of it, also when merged, is at or before its last offset: delivered already.
        session.repeated += 1;
        return undefined;
      }
      session.position = text;
      held = cursor;
    }
    if (!isReady) progress();
    // What follows a run's `done` can only say the same: the answer is whole even if the connection breaks here.
    if (event.type === "done" && run && event.run === run) become("ended");
    return { type: "deliver", event, size };
  }

  function lose(error: TokentapeError, now: number, random: number): Action {
    if (session.state === "playing" && now - openedAt >= STEADY) progress();
    failingSince ??= now;
    const ms = delay(pace, attempt, random, Math.max(error.retryAfter, hint));
    if (now + ms - failingSince >= limits[accepted ? "again" : "first"]) return fail(error);
    become("waiting");
    attempt += 1;
    return { type: "wait", ms, error };
  }

  function fail(error: TokentapeError): Action {
    become("failed");
    return { type: "fail", error };
  }

  function step(signal: Signal, now: number, random: number): Action | undefined {
    if (session.over) return undefined;
    const next = NEXT[session.state][signal.type];
    if (!next) throw new Error(`${session.state}: ${signal.type}`);
    if (signal.type === "item") return take(signal.event, signal.size ?? 0, now, random);
    if (signal.type === "lost") return lose(signal.error, now, random);
    become(next);
    switch (signal.type) {
      case "opened":
        accepted = true;
        openedAt = now;
        return undefined;
      case "retry":
        hint = signal.ms;
        return undefined;
      case "ended":
        return { type: "finish" };
      case "refused":
        return fail(signal.error);
      default:
        return { type: "connect", from: session.position };
    }
  }

  return session;
}
