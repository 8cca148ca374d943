/** A view over HTTP: `GET …/events` as an event stream. */

import { type Connection, createTimer, type Open, type Surroundings, type View } from "./connection.ts";
import { TokentapeError, unreachable } from "./errors.ts";
import { errorOf, pathOf } from "./http.ts";
import { refusal, type Signal } from "./session.ts";
import { createSseReading } from "./sse-wire.ts";

export function createOpen(surroundings: Surroundings): Open {
  return (view) => open(surroundings, view);
}

function open({ http, timeouts, works, blocked }: Surroundings, { stream, from, merge, emit }: View): Connection {
  const abort = new AbortController();
  const timer = createTimer();
  let heard = performance.now();
  let over = false;

  function fail(error: unknown): void {
    if (!over) emit({ type: "lost", error: error instanceof TokentapeError ? error : unreachable("The connection broke.", error) });
    close();
  }

  function close(): void {
    over = true;
    timer.clear();
    abort.abort();
  }

  const silent = (): void => fail(unreachable("Nothing came from the server for too long."));

  async function read(): Promise<void> {
    // `ready` comes at once, unless something on the way collects what we should get as it is.
    timer.set(timeouts.firstWord, () => {
      blocked("sse");
      silent();
    });
    const address = http.address(pathOf(stream, "events"), { from, merge: merge ? undefined : merge });
    const response = await http.send(address, { headers: { Accept: "text/event-stream" }, signal: abort.signal });
    if (response.status !== 200) {
      const signal: Signal = response.status === 204 ? { type: "ended" } : refusal(await errorOf(response));
      if (!over) emit(signal);
      return;
    }
    if (!/^text\/event-stream/.test(response.headers.get("Content-Type")!)) throw unreachable(`${address} is no event stream.`);
    const reader = response.body!.getReader();
    const decoder = new TextDecoder();
    const receive = createSseReading();
    for (let first = true; ; first = false) {
      const { done, value } = await reader.read();
      if (over) return;
      if (done) throw unreachable("The server ended the connection before the end of the stream.");
      heard = performance.now();
      timer.set(timeouts.silence, silent);
      if (first) {
        works("sse");
        emit({ type: "opened" });
      }
      for (const signal of receive(decoder.decode(value, { stream: true }))) if (!over) emit(signal);
    }
  }

  read().catch(fail);
  return {
    close,
    check() {
      // A server that lives says something more often.
      if (performance.now() - heard > timeouts.silence / 2) silent();
    },
  };
}
