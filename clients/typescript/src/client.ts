/** The client of one server. */

import { type Channel, createChannel, type EventMap } from "./channel.ts";
import type { Timeouts, Transport } from "./connection.ts";
import type { TokentapeError } from "./errors.ts";
import type { From } from "./events.ts";
import { createFeed, type Feed, type Feeder } from "./feed.ts";
import { createHttp, type Http, randomId, runOf, type Token } from "./http.ts";
import { createLinks, type Memory } from "./links.ts";
import { createRun, type Run, type RunInfo, type RunRequest } from "./run.ts";
import type { SessionOptions } from "./session.ts";
import { createListeners, type Subscribable } from "./subscribable.ts";
import { createQueue, until, type Watch, type WatchCallbacks, type WatchOptions } from "./watch.ts";

export interface ClientOptions extends Pick<SessionOptions, "backoff" | "patience"> {
  /** The server's address, also one relative to the page: `/tape`. The origin of the page when nothing is said. */
  url?: string;
  /**
   * How views connect. `auto`, the default, takes one WebSocket for all of them; where something on the way does not let
   * that through it goes over to one event stream for each, and remembers it for the session of the page.
   */
  transport?: "auto" | Transport;
  /** The credential, or a function that has it; called before each connection, with true after one was refused. */
  token?: Token;
  timeouts?: Partial<Timeouts>;
  fetch?: typeof fetch;
  WebSocket?: typeof WebSocket;
  /** Where `auto` remembers; `sessionStorage` where there is one. */
  memory?: Memory;
}

/** Runs and channels that are known by their names: the last that were asked for. */
const MAX_NAMED = 200;

/** How the connection is, over all that is watched. `waiting` is a pause before the next attempt, for `error`. */
export interface Status {
  readonly state: "idle" | "connecting" | "open" | "waiting" | "offline";
  readonly transport: Transport;
  readonly error?: TokentapeError | undefined;
}

export interface Client {
  readonly status: Subscribable<Status>;
  /** Starts a run and watches it. A broken connection starts no second one: the request bears a key. */
  run(request: RunRequest, options?: { idempotencyKey?: string; signal?: AbortSignal }): Promise<Run>;
  /** A run that exists. Nothing is asked of the server until it is watched. Who asks for the same gets the same. */
  attach(id: string): Run;
  /** Plays a stream from a position, then live: `runs/<id>`, or a channel. */
  watch(stream: string, options: WatchOptions & WatchCallbacks): Pick<Watch, "position" | "close">;
  watch(stream: string, options?: WatchOptions): Watch;
  /** A channel; `from` says where its handlers begin: `now` when nothing is said. Who asks for the same gets the same. */
  channel<E = EventMap>(name: string, options?: { from?: From }): Channel<E>;
  /** Any other request: `client.call<{ models: … }>("GET", "v1/models")`. */
  call: Http["call"];
  /** Closes every connection; runs go on. */
  close(): void;
}

export function createClient(options: ClientOptions = {}): Client {
  const { navigator, document } = globalThis;
  const {
    url = "",
    transport = "auto",
    // Called through the global object, as browsers want it.
    fetch = (...request) => globalThis.fetch(...request),
    WebSocket = globalThis.WebSocket,
  } = options;
  const given = { ...options, url, transport, fetch, WebSocket };
  const http = createHttp(given);
  const links = createLinks({ ...given, http, timeouts: { silence: 30_000, firstWord: 8_000, ...options.timeouts } });
  const feeds = new Set<Feed>();
  const changes = createListeners();
  const named = new Map<string, Partial<Run>>();
  let status: Status = { state: "idle", transport: links.transport() };

  const feeder: Feeder = {
    ...given,
    open: links.open,
    changed(feed) {
      if (feed.closed && feeds.delete(feed) && feeds.size === 0) listen("removeEventListener");
      update();
    },
  };

  function feed(stream: string, from: From, merge = true): Feed {
    const made = createFeed(feeder, stream, from, merge);
    if (feeds.size === 0) listen("addEventListener");
    feeds.add(made);
    return made;
  }

  function update(): void {
    const find = (state: string): Feed | undefined => [...feeds].find(({ session }) => session.state === state);
    const waiting = find("waiting");
    const calm = find("connecting") ? "connecting" : find("playing") ? "open" : "idle";
    const state = !waiting ? calm : navigator?.onLine === false ? "offline" : "waiting";
    const next: Status = { state, transport: links.transport(), error: waiting?.error };
    if (next.state === status.state && next.transport === status.transport && next.error === status.error) return;
    status = next;
    changes.tell();
  }

  // The network went or is back, or somebody looks again: what waits for its next attempt need not wait longer, and what
  // seems open may be dead without having been told.
  function wake(): void {
    update();
    if (document?.hidden) return;
    for (const feed of [...feeds]) if (navigator?.onLine !== false || feed.session.state === "playing") feed.wake();
  }

  function listen(change: "addEventListener" | "removeEventListener"): void {
    for (const name of ["online", "offline", "pageshow", "visibilitychange"]) globalThis[change]?.(name, wake);
  }

  // By name, so that all parts of a page share one view, and one that comes back finds what was there.
  function shared<T>(name: string, create: () => T): T {
    const value = (named.get(name) as T | undefined) ?? create();
    named.delete(name);
    named.set(name, value as Partial<Run>);
    for (const oldest of named.keys()) if (named.size > MAX_NAMED) named.delete(oldest);
    return value;
  }

  const client: Client = {
    status: { get: () => status, subscribe: changes.add },
    async run(request, { idempotencyKey = randomId(), signal } = {}) {
      const headers = { "Idempotency-Key": idempotencyKey };
      const { id } = await http.call<RunInfo>("POST", "v1/runs", { body: request, headers, signal, repeat: true });
      const run = client.attach(id);
      void run.done;
      return run;
    },
    attach: (id) => shared(`runs/${id}`, () => createRun(id, { http, feed, start: client.run })),
    watch: ((stream: string, options: WatchOptions & Partial<WatchCallbacks> = {}) => {
      const { from = runOf(stream) === undefined ? "now" : "start", merge, signal, onEvent, onEnd } = options;
      if (!onEvent) return createQueue((from, listener) => feed(stream, from, merge).listen(listener), from, signal);
      const { session, listen } = feed(stream, from, merge);
      const close = listen({ event: onEvent, end: (error) => onEnd?.(error) });
      until(signal, close);
      return {
        get position() {
          return session.position;
        },
        close,
      };
    }) as Client["watch"],
    channel: (name, { from = "now" } = {}) => shared(name, () => createChannel(name, from, { http, feed })),
    call: http.call,
    close() {
      for (const value of named.values()) value.close?.();
      for (const feed of [...feeds]) feed.close();
      links.close();
    },
  };
  return client;
}
