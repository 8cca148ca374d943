/** Asks again and again while somebody looks: one request at a time, none while the page is hidden or left. */

import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { TokentapeError } from "tokentape";
import { createStore } from "./store.ts";

/** Milliseconds until what is asked for once, and was not to be had, is asked for again. */
const RETRY = 3000;

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

/** `until` says that an answer is the last one: nothing changes any more. */
export function createPoll<T>(fetcher: (signal: AbortSignal) => Promise<T>, interval: number, until?: (data: T) => boolean): Poll<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let request: AbortController | undefined;
  const { get, set, subscribe } = createStore<Polled<T>>({}, begin, end);

  function begin(): void {
    document.addEventListener("visibilitychange", turn);
    turn();
  }

  function end(): void {
    document.removeEventListener("visibilitychange", turn);
    halt();
  }

  function halt(): void {
    clearTimeout(timer);
    request?.abort();
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
    const { data, error } = answer;
    const isLast = error ? interval === 0 && !isPassing(error) : interval === 0 || (data !== undefined && until?.(data));
    if (!isLast) timer = setTimeout(() => void look(), interval || RETRY);
  }

  return { get, subscribe, refresh: turn };
}

/** Whether the same may be answered later: the server was away. */
export function isPassing(error: Error): boolean {
  return error instanceof TokentapeError && error.retryable;
}

/**
 * What `fetcher` answers, asked every `interval` milliseconds (0: until it is there); anew when `key` changes, until when the answer
 * to the last key stays. A component that shows another thing is another component: give it a `key` of its own.
 */
export function usePoll<T>(
  key: string,
  fetcher: (signal: AbortSignal) => Promise<T>,
  interval: number,
  until?: (data: T) => boolean,
): Polled<T> & { refresh(): void } {
  // The key stands for all that the functions depend on.
  const poll = useMemo(() => createPoll(fetcher, interval, until), [key, interval]);
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
