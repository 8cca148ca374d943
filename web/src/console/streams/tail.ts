/** The newest events of a stream: the last ones of its past, then live, of which the oldest go first. */

import type { TapeEvent, TokentapeError } from "tokentape";
import { client } from "../../app/server.ts";
import { createStore } from "../store.ts";

export interface Tail {
  readonly events: readonly TapeEvent[];
  readonly state: "loading" | "live" | "closed" | "failed";
  readonly error?: TokentapeError;
}

const KEPT = 2000;
const PAST = 200;

export function createTail(name: string): { get(): Tail; subscribe(listener: () => void): () => void } {
  let over = new AbortController();
  let watch: { close(): void } | undefined;
  let waiting: TapeEvent[] = [];
  let frame = 0;
  const { get, set, subscribe } = createStore<Tail>({ events: [], state: "loading" }, () => void begin().catch(fail), end);

  async function begin(): Promise<void> {
    const { signal } = (over = new AbortController());
    set({ events: [], state: "loading" });
    const { items, cursor } = await client.channel(name).history({ limit: PAST });
    if (signal.aborted) return;
    set({ events: items.map(({ cursor, event }) => ({ ...event, cursor }) as TapeEvent).reverse(), state: "live" });
    watch = client.watch(name, {
      from: cursor,
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
        flush();
        if (!signal.aborted) set({ ...get(), state: error ? "failed" : "closed", ...(error && { error }) });
      },
    });
  }

  function fail(error: TokentapeError): void {
    if (!over.signal.aborted) set({ ...get(), state: "failed", error });
  }

  function flush(): void {
    frame = 0;
    if (waiting.length) set({ ...get(), events: [...get().events, ...waiting].slice(-KEPT) });
    waiting = [];
  }

  function end(): void {
    over.abort();
    watch?.close();
    watch = undefined;
    cancelAnimationFrame(frame);
    frame = 0;
    waiting = [];
  }

  return { get, subscribe };
}
