/** Views over HTTP: `GET …/events` as an event stream, or as long-polls one after the other. */

import { type Connection, createTimer, FIRST_WORD, HEARTBEAT, SILENCE, type Surroundings, type View } from "./connection.ts";
import { protocolError, TokentapeError, unreachable } from "./errors.ts";
import { errorOf, pathOf } from "./http.ts";
import type { Signal } from "./session.ts";
import { createPollReading, createSseReading, refusal } from "./wire.ts";

/** Seconds that a long-poll may wait for something new; well within `SILENCE`. */
const POLL_WAIT = 20;

/** What a request is worth to whoever reads its answer: the answer itself, and `heard` to say that it lives. */
type Read = (ask: (accept: string, query?: Record<string, unknown>) => Promise<Response | undefined>, life: Life) => Promise<void>;

interface Life {
  emit(...signals: Signal[]): void;
  heard(): void;
  /** How long the silence may last from now on, and what it then means. */
  within(ms: number, silent: () => void): void;
  readonly over: boolean;
}

function open({ http, now }: Surroundings, view: View, read: Read): Connection {
  const abort = new AbortController();
  const timer = createTimer();
  let heard = now();
  let over = false;
  let limit = SILENCE;
  let silent = (): void => {};

  function close(): void {
    over = true;
    timer.clear();
    abort.abort();
  }

  const life: Life = {
    get over() {
      return over;
    },
    heard() {
      heard = now();
      timer.set(limit, dead);
    },
    within(ms, then) {
      limit = ms;
      silent = then;
      life.heard();
    },
    emit(...signals) {
      for (const signal of signals) if (!over) view.emit(signal);
    },
  };

  function dead(): void {
    silent();
    fail(unreachable(`Nothing came from the server for ${limit / 1000} s.`));
  }

  function fail(error: TokentapeError): void {
    life.emit({ type: "lost", error });
    close();
  }

  async function ask(accept: string, query: Record<string, unknown> = {}): Promise<Response | undefined> {
    const address = http.address(pathOf(view.stream, "events"), { from: view.from, merge: view.merge ? undefined : false, ...query });
    const response = await http.send(address, { headers: { Accept: accept }, signal: abort.signal });
    if (response.status === 200) return response;
    if (response.status === 204) life.emit({ type: "ended" });
    else life.emit(refusal(errorOf(response, await response.text())));
    return undefined;
  }

  life.within(SILENCE, () => {});
  read(ask, life).catch((error: unknown) => {
    if (!over) fail(error instanceof TokentapeError ? error : unreachable("The connection broke.", error));
  });
  return {
    close,
    check() {
      // The server says something every `HEARTBEAT`.
      if (now() - heard > HEARTBEAT + 2_000) dead();
    },
  };
}

export function openSse(surroundings: Surroundings, view: View): Connection {
  return open(surroundings, view, async (ask, life) => {
    const response = await ask("text/event-stream");
    if (!response?.body) return;
    if (!response.headers.get("Content-Type")?.startsWith("text/event-stream")) {
      throw protocolError(`${response.url} is not an event stream.`);
    }
    // `ready` comes at once, unless something on the way collects what we should get as it is.
    life.within(FIRST_WORD, () => surroundings.blocked("sse"));
    const reader = response.body.getReader();
    const decoder = new TextDecoder();
    const receive = createSseReading();
    for (let first = true; ; first = false) {
      const { done, value } = await reader.read();
      if (life.over) return;
      if (done) throw unreachable("The server ended the connection before the end of the stream.");
      if (first) {
        surroundings.works("sse");
        life.within(SILENCE, () => {});
        life.emit({ type: "opened" });
      }
      life.heard();
      life.emit(...receive(decoder.decode(value, { stream: true })));
    }
  });
}

export function openPoll(surroundings: Surroundings, view: View): Connection {
  return open(surroundings, view, async (ask, life) => {
    const reading = createPollReading(view.from);
    // The first without waiting: its answer says where the view begins.
    for (let wait = 0; !life.over; wait = POLL_WAIT) {
      const response = await ask("application/json", { from: reading.position, wait });
      if (!response) return;
      const signals = reading.receive(await response.text());
      surroundings.works("poll");
      if (wait === 0) life.emit({ type: "opened" });
      life.heard();
      life.emit(...signals);
    }
  });
}
