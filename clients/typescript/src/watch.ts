/** An asynchronous iterator over a feed, with a bounded queue. */

import type { TokentapeError } from "./errors.ts";
import type { From, TapeEvent } from "./events.ts";
import type { Listener } from "./feed.ts";

export interface WatchOptions {
  /** Where to begin; `start` when nothing is said. */
  from?: From;
  /** Whether a backlog comes as few large events; it does unless this is false. */
  merge?: boolean;
  /** Ends the watch. */
  signal?: AbortSignal;
}

/** Callbacks in place of iteration: each event as it comes. */
export interface WatchCallbacks {
  onEvent: (event: TapeEvent) => void;
  /** Nothing follows: the run has ended, or the channel was closed; with an error, it cannot be watched any further. */
  onEnd?: (error: TokentapeError | undefined) => void;
}

/** Plays a stream from a position, then live, and reconnects by itself; a run's view ends with the run. */
export interface Watch extends AsyncIterable<TapeEvent, void, undefined> {
  /** Where another watch would go on: everything up to here was handed over, or is void. */
  readonly position: From;
  /** Lets go of it; the run goes on. */
  close(): void;
}

/** Events and characters that wait to be taken. Beyond, the connection is let go of, and later resumed from there. */
const MAX_EVENTS = 1_000;
const MAX_SIZE = 1_048_576;

/** How a queue gets its events: from this position on; returns how to leave. */
export type Join = (from: From, listener: Listener) => () => void;

export function createQueue(join: Join, start: From, signal?: AbortSignal): Watch {
  const queue: { event: TapeEvent; more: number; reached: From }[] = [];
  let size = 0;
  let received = start;
  let position = start;
  let leave: (() => void) | undefined;
  let over = false;
  let failure: TokentapeError | undefined;
  let wake: (() => void) | undefined;

  const listener: Listener = {
    event(event, more, reached) {
      queue.push({ event, more, reached });
      size += more;
      received = reached;
      if (queue.length >= MAX_EVENTS || size >= MAX_SIZE) pause();
      wake?.();
    },
    end: finish,
  };

  function pause(): void {
    const left = leave;
    leave = undefined;
    left?.();
  }

  function finish(error: TokentapeError | undefined): void {
    over = true;
    failure = error;
    pause();
    wake?.();
  }

  function close(): void {
    queue.length = 0;
    finish(undefined);
  }

  async function* iterate(): AsyncGenerator<TapeEvent, void, undefined> {
    try {
      for (;;) {
        const next = queue.shift();
        if (next) {
          size -= next.more;
          position = next.reached;
          yield next.event;
        } else if (failure) throw failure;
        else if (over) return;
        else {
          // Taken first: what a feed says at once must find somebody to wake.
          const news = new Promise<void>((resolve) => (wake = resolve));
          if (!leave) {
            const left = join(received, listener);
            if (over) left();
            else leave = left;
          }
          await news;
        }
      }
    } finally {
      close();
      signal?.removeEventListener("abort", close);
    }
  }

  until(signal, close);
  return {
    get position() {
      return position;
    },
    close,
    [Symbol.asyncIterator]: iterate,
  };
}

/** Calls `close` when there is such a signal, and it was given, or is given later. */
export function until(signal: AbortSignal | undefined, close: () => void): void {
  if (signal?.aborted) close();
  signal?.addEventListener("abort", close);
}
