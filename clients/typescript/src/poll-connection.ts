/**
 * A view over plain requests (PROTOCOL.md §3.1), for networks that let nothing else through: each asks for what came
 * after the last one, and is answered when there is something, or after a while.
 *
 * An event that is not kept is missed when it comes between two requests.
 */

import { type Connection, createTimer, type Open, type Surroundings, type View } from "./connection.ts";
import { TokentapeError, unreachable } from "./errors.ts";
import type { From } from "./events.ts";
import { errorOf, pathOf } from "./http.ts";
import { invalid, item, refusal, type Signal } from "./session.ts";

/** Milliseconds between two requests while there is news: what comes meanwhile is one answer, not twenty. */
const PAUSE = 150;

export function createOpen(surroundings: Surroundings): Open {
  return (view) => open(surroundings, view);
}

interface Polled {
  events: { cursor?: string }[];
  cursor: string;
  outcome: string;
  reason?: string;
  ended: boolean;
}

/** What an answer says to whoever asked for what follows `from`; `isFirst` when nothing was asked for before. */
export function signalsOf(text: string, from: From, isFirst: boolean): { signals: Signal[]; cursor: string } {
  const { events, cursor, outcome, reason, ended } = JSON.parse(text) as Polled;
  const signals: Signal[] = isFirst ? [{ type: "opened" }] : [];
  const startsOver = outcome === "gone" || outcome === "snapshot";
  if (isFirst || startsOver) {
    // Where the events begin is not told. A position before them will do, since they follow at once.
    const before = startsOver || !from.includes("-") ? cursor.replace(/-.*/, "-0") : from;
    signals.push(item({ type: "ready", data: { outcome, cursor: events[0] ? before : cursor, ...(reason && { reason }) } }, undefined, 0));
  }
  for (const event of events) signals.push(item(event, undefined, text.length / events.length));
  if (ended) signals.push({ type: "ended" });
  return { signals, cursor };
}

function open({ http, timeouts, works, blocked }: Surroundings, { stream, from, merge, emit }: View): Connection {
  const abort = new AbortController();
  const timer = createTimer();
  let heard = performance.now();
  let over = false;

  function close(): void {
    over = true;
    timer.clear();
    abort.abort();
  }

  function fail(error: unknown): void {
    if (!over) emit({ type: "lost", error: error instanceof TokentapeError ? error : unreachable("The connection broke.", error) });
    close();
  }

  const silent = (): void => fail(unreachable("The server does not answer."));

  async function ask(position: From, isFirst: boolean): Promise<void> {
    // The first one is answered at once.
    timer.set(isFirst ? timeouts.firstWord : timeouts.silence, () => {
      if (isFirst) blocked("poll");
      silent();
    });
    const wait = isFirst ? 0 : Math.min(20, timeouts.silence / 1500);
    const address = http.address(pathOf(stream, "events"), { from: position, wait, merge: merge ? undefined : merge });
    const response = await http.send(address, { headers: { Accept: "application/json" }, signal: abort.signal });
    if (!response.ok) {
      const signal = refusal(await errorOf(response));
      if (!over) emit(signal);
      return close();
    }
    const text = await response.text();
    if (over) return;
    let answer: ReturnType<typeof signalsOf>;
    try {
      answer = signalsOf(text, position, isFirst);
    } catch {
      return fail(invalid());
    }
    heard = performance.now();
    if (isFirst) works("poll");
    for (const signal of answer.signals) if (!over) emit(signal);
    if (over || answer.signals.at(-1)?.type === "ended") return;
    const next = (): void => void ask(answer.cursor, false).catch(fail);
    if (answer.signals.length > 0 && !isFirst) timer.set(PAUSE, next);
    else next();
  }

  ask(from, true).catch(fail);
  return {
    close,
    check() {
      if (performance.now() - heard > timeouts.silence * 0.75) silent();
    },
  };
}
