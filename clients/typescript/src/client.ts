/** The client of one server. */

import { type Channel, createChannel, type EventMap, randomId } from "./channel.ts";
import type { Transport } from "./connection.ts";
import type { TokentapeError } from "./errors.ts";
import type { From } from "./events.ts";
import { createFeed, type Feed, type Feeder } from "./feed.ts";
import { createHttp, runOf, type Token } from "./http.ts";
import { createLinks, type Memory } from "./links.ts";
import { createRun, type Run, type RunInfo, type RunRequest } from "./run.ts";
import type { SessionOptions } from "./session.ts";
import { createListeners, type Subscribable } from "./subscribable.ts";
import { createQueue, type Watch, type WatchCallbacks, type WatchOptions } from "./watch.ts";

export interface ClientOptions extends Pick<SessionOptions, "backoff" | "patience"> {
  /** The server's address, also one relative to the page: `/tape`. The origin of the page when nothing is said. */
  url?: string;
  /**
   * How views connect. `auto`, the default, takes one WebSocket for all of them, and goes over to event streams, then to
   * long-polls, where something on the way does not let those through; it remembers that for the session of the page.
   */
  transport?: "auto" | Transport;
  /** The credential, or a function that has it; called before each connection, with true after one was refused. */
  token?: Token;
  fetch?: typeof fetch;
  WebSocket?: typeof WebSocket;
  /** Where `auto` remembers; `sessionStorage` where there is one. */
  memory?: Memory;
}

/** How the connection is. `waiting` is a pause before the next attempt, for `error`. */
export interface Status {
  readonly state: "idle" | "connecting" | "open" | "waiting" | "offline";
  readonly transport: Transport;
  readonly error?: TokentapeError | undefined;
}

export interface Client {
  /** How the connection is, over all that is watched. */
  readonly status: Subscribable<Status>;
  /** Starts a run and watches it. A broken connection starts no second one: the request bears a key. */
  run(request: RunRequest, options?: { idempotencyKey?: string; signal?: AbortSignal }): Promise<Run>;
  /** A run that exists. Nothing is asked of the server until it is watched. Who asks for the same gets the same. */
  attach(id: string): Run;
  /** Plays a stream from a position, then live: `runs/<id>`, or a channel. */
  watch(stream: string, options?: WatchOptions): Watch;
  watch(stream: string, options: WatchOptions & WatchCallbacks): Pick<Watch, "position" | "close">;
  /** A channel; `from` says where its handlers begin: `now` when nothing is said. Who asks for the same gets the same. */
  channel<E = EventMap>(name: string, options?: { from?: From }): Channel<E>;
  /** What the server knows of a run. */
  info(run: string): Promise<RunInfo>;
  /** Runs, the newest first. */
  runs(query?: { state?: RunInfo["state"]; limit?: number; before?: string }): Promise<{ runs: RunInfo[]; next: string | null }>;
  /** The models that are configured. */
  models(): Promise<{ name: string; provider: string; model?: string; default?: boolean }[]>;
  /** Closes every connection; runs go on. */
  close(): void;
}

export function createClient(options: ClientOptions = {}): Client {
  // Called through the global object, as browsers want it.
  const fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  const { random } = Math;
  const http = createHttp({ url: options.url ?? "", token: options.token, fetch, random });
  const now = (): number => performance.now();
  const links = createLinks({
    http,
    fetch,
    now,
    transport: options.transport ?? "auto",
    WebSocket: options.WebSocket ?? globalThis.WebSocket,
    memory: options.memory ?? storage(),
  });
  const feeds = new Set<Feed>();
  const changes = createListeners();
  const runs = new Map<string, Run>();
  const channels = new Map<string, Channel<any>>();
  let status: Status = { state: "idle", transport: links.transport };

  const feeder: Feeder = {
    open: links.open,
    now,
    random,
    backoff: options.backoff,
    patience: options.patience,
    changed(feed) {
      if (feed.closed) feeds.delete(feed);
      if (feeds.size === 0) listen(false);
      update();
    },
  };

  function feed(stream: string, from: From, merge = true): Feed {
    const made = createFeed(feeder, stream, from, merge);
    if (feeds.size === 0) listen(true);
    feeds.add(made);
    return made;
  }

  function update(): void {
    const all = [...feeds];
    const of = (state: string): Feed | undefined => all.find((feed) => feed.state === state);
    const waiting = of("waiting");
    const state = waiting
      ? globalThis.navigator?.onLine === false ? "offline" : "waiting"
      : of("connecting") ? "connecting" : of("playing") ? "open" : "idle";
    const next: Status = { state, transport: links.transport, error: waiting?.error };
    if (next.state === status.state && next.transport === status.transport && next.error === status.error) return;
    status = next;
    changes.tell();
  }

  // The network is back, or somebody looks again: what waits for its next attempt need not wait longer.
  function wake(): void {
    update();
    if (globalThis.navigator?.onLine === false || globalThis.document?.hidden) return;
    for (const feed of [...feeds]) feed.wake();
  }

  function listen(on: boolean): void {
    const change = on ? "addEventListener" : "removeEventListener";
    for (const name of ["online", "offline", "pageshow"]) globalThis[change]?.(name, wake);
    globalThis.document?.[change]("visibilitychange", wake);
  }

  // Who is watched is known by name, so that all parts of a page share one view.
  function keep<T>(map: Map<string, T>, name: string, value: T, held: boolean): void {
    if (held && !map.has(name)) map.set(name, value);
    else if (!held && map.get(name) === value) map.delete(name);
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
    attach: (id) =>
      runs.get(id) ?? createRun(id, { http, feed, start: client.run, held: (run, held) => keep(runs, id, run, held) }),
    watch: ((stream: string, options: WatchOptions & Partial<WatchCallbacks> = {}) => {
      const { from = runOf(stream) === undefined ? "now" : "start", merge = true, signal, onEvent, onEnd, onError } = options;
      if (!onEvent) return createQueue((from, listener) => feed(stream, from, merge).listen(listener), from, signal);
      const made = feed(stream, from, merge);
      const leave = made.listen({ event: onEvent, ...(onEnd && { end: onEnd }), ...(onError && { fail: onError }) });
      if (signal?.aborted) leave();
      signal?.addEventListener("abort", leave, { once: true });
      return {
        get position() {
          return made.position;
        },
        close: leave,
      };
    }) as Client["watch"],
    channel: (name, { from = "now" } = {}) =>
      channels.get(name) ?? createChannel(name, from, { http, feed, held: (channel, held) => keep(channels, name, channel, held) }),
    info: (run) => http.call("GET", `v1/runs/${encodeURIComponent(run)}`, { repeat: true }),
    runs: (query = {}) => http.call("GET", "v1/runs", { query, repeat: true }),
    models: async () => (await http.call<{ models: [] }>("GET", "v1/models", { repeat: true })).models,
    close() {
      for (const run of [...runs.values()]) run.close();
      for (const feed of [...feeds]) feed.close();
      links.close();
    },
  };
  return client;
}

// Even to look at it is refused on some pages.
function storage(): Memory | undefined {
  try {
    return globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}
