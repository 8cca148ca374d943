/**
 * A view over plain requests (PROTOCOL.md §3.1), for networks that let nothing else through: each asks for what came
 * after the last one, and is answered when there is something, or after a while.
 *
 * An event that is not kept is missed when it comes between two requests.
 */

import { type Connection, createTimer, type Open, type Surroundings, type View } from "./connection.ts";
import { TokentapeError, unreachable } from "./errors.ts";
import { errorOf, pathOf } from "./http.ts";
import { createPollReading } from "./poll-wire.ts";
import { refusal } from "./session.ts";

/** Milliseconds between two requests while there is news: what comes meanwhile is one answer, not twenty. */
const PAUSE = 150;

export function createOpen(surroundings: Surroundings): Open {
  return (view) => open(surroundings, view);
}

function open({ http, timeouts, works, blocked }: Surroundings, { stream, from, merge, emit }: View): Connection {
  const abort = new AbortController();
  const timer = createTimer();
  const reading = createPollReading(from);
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

  async function ask(isFirst: boolean): Promise<void> {
    // The first one is answered at once.
    timer.set(isFirst ? timeouts.firstWord : timeouts.silence, () => {
      if (isFirst) blocked("poll");
      silent();
    });
    const wait = isFirst ? 0 : Math.min(20, timeouts.silence / 1500);
    const address = http.address(pathOf(stream, "events"), { from: reading.position, wait, merge: merge ? undefined : merge });
    const response = await http.send(address, { headers: { Accept: "application/json" }, signal: abort.signal });
    if (!response.ok) {
      const signal = refusal(await errorOf(response));
      if (!over) emit(signal);
      return close();
    }
    const text = await response.text();
    if (over) return;
    heard = performance.now();
    const signals = reading.receive(text);
    if (isFirst && signals[0]!.type !== "lost") {
      works("poll");
      emit({ type: "opened" });
    }
    for (const signal of signals) if (!over) emit(signal);
    if (over) return;
    const next = (): void => void ask(false).catch(fail);
    if (signals.length > 0 && !isFirst) timer.set(PAUSE, next);
    else next();
  }

  ask(true).catch(fail);
  return {
    close,
    check() {
      if (performance.now() - heard > timeouts.silence * 0.75) silent();
    },
  };
}
