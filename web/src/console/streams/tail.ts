/** The newest events of a stream: the last ones of its past, then live, of which the oldest go first. */

import type { TapeEvent } from "tokentape";
import { client } from "../../app/server.ts";
import { createPoll } from "../poll.ts";
import { createStore } from "../store.ts";

export interface Tail {
  readonly events: readonly TapeEvent[];
  readonly state: "loading" | "live" | "closed" | "failed";
  readonly error?: Error;
}

const KEPT = 2000;
const PAST = 200;

export function createTail(name: string): { get(): Tail; subscribe(listener: () => void): () => void } {
  const past = createPoll(() => client.channel(name).history({ limit: PAST }), 0);
  let leave: (() => void) | undefined;
  let watch: { close(): void } | undefined;
  let over = new AbortController();
  let waiting: TapeEvent[] = [];
  let frame = 0;
  const { get, set, subscribe } = createStore<Tail>({ events: [], state: "loading" }, begin, end);

  function begin(): void {
    set({ events: [], state: "loading" });
    leave = past.subscribe(go);
  }

  function go(): void {
    const { data, error } = past.get();
    if (error) return set({ ...get(), state: "failed", error });
    leave?.();
    if (data) follow(data.items.map(({ cursor, event }) => ({ ...event, cursor }) as TapeEvent).reverse(), data.cursor);
  }

  function follow(events: readonly TapeEvent[], from: string): void {
    const { signal } = (over = new AbortController());
    set({ events, state: "live" });
    watch = client.watch(name, {
      from,
      merge: false,
      onEvent(event) {
        if (event.type === "ready") {
          if (event.data.outcome === "gone" || event.data.outcome === "snapshot") {
            waiting = [];
            set({ ...get(), events: [] });
          }
          return;
        }
        waiting.push(event);
        if (waiting.length > KEPT) waiting.shift();
        frame ||= requestAnimationFrame(flush);
      },
      onEnd(error) {
        if (signal.aborted) return;
        flush();
        set({ ...get(), state: error ? "failed" : "closed", ...(error && { error }) });
      },
    });
  }

  function flush(): void {
    frame = 0;
    if (waiting.length) set({ ...get(), events: [...get().events, ...waiting].slice(-KEPT) });
    waiting = [];
  }

  function end(): void {
    leave?.();
    over.abort();
    watch?.close();
    cancelAnimationFrame(frame);
    frame = 0;
    waiting = [];
  }

  return { get, subscribe };
}
