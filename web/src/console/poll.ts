/** Asks again and again while somebody looks: one request at a time, none while the page is hidden or left. */

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { health } from "./health.ts";
import { createStore } from "./store.ts";

export interface Polled<T> {
  /** The last answer; it stays while the server is away. */
  readonly data?: T;
  /** Why the last request failed, if it did. */
  readonly error?: Error;
}

export interface Poll<T> {
  get(): Polled<T>;
  subscribe(listener: () => void): () => void;
  /** Asks now. */
  refresh(): void;
}

export function createPoll<T>(fetcher: (signal: AbortSignal) => Promise<T>, interval: number): Poll<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let request: AbortController | undefined;
  let leaveHealth: (() => void) | undefined;

  const { get, set, subscribe } = createStore<Polled<T>>({}, begin, end);

  function begin(): void {
    document.addEventListener("visibilitychange", turn);
    // Who asked for a key and got none, or found the API off, tries again when told to, not every second.
    leaveHealth = health.subscribe(() => health.get().state === "unknown" && turn());
    turn();
  }

  function end(): void {
    document.removeEventListener("visibilitychange", turn);
    leaveHealth?.();
    halt();
  }

  function halt(): void {
    clearTimeout(timer);
    timer = undefined;
    request?.abort();
    request = undefined;
  }

  function turn(): void {
    halt();
    if (document.visibilityState === "visible") void look();
  }

  async function look(): Promise<void> {
    const mine = (request = new AbortController());
    const answer = await fetcher(mine.signal).then(
      (data): Polled<T> => ({ data }),
      (error: Error): Polled<T> => ({ ...get(), error }),
    );
    if (mine.signal.aborted) return;
    set(answer);
    const { state } = health.get();
    if (state !== "off" && state !== "key" && interval > 0) timer = setTimeout(() => void look(), interval);
  }

  return { get, subscribe, refresh: turn };
}

const NOTHING = {};
const SILENT: Poll<never> = { get: () => NOTHING, subscribe: () => () => {}, refresh() {} };

/**
 * What `fetcher` answers, asked every `interval` milliseconds (0: once); anew when `key` changes, until when the answer
 * to the last key stays. A component that shows another thing is another component: give it a `key` of its own. Null
 * asks nothing.
 */
export function usePoll<T>(key: string | null, fetcher: (signal: AbortSignal) => Promise<T>, interval: number): Polled<T> & { refresh(): void } {
  // The key stands for all that the fetcher depends on.
  const poll = useMemo(() => (key === null ? SILENT : createPoll(fetcher, interval)), [key, interval]);
  const state: Polled<T> = useSyncExternalStore(poll.subscribe, poll.get);
  const [last, setLast] = useState<T>();
  if (state.data !== undefined && state.data !== last) setLast(state.data);
  const data = state.data ?? last;
  return { ...state, ...(data !== undefined && { data }), refresh: poll.refresh };
}

/** The value once it has not changed for so long: what is typed need not be asked for letter by letter. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
