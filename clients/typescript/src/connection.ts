/** What every transport is: a way to open one view, whose news come as signals. */

import type { From } from "./events.ts";
import type { Http } from "./http.ts";
import type { Signal } from "./session.ts";

/** One WebSocket for all, an event stream for each view, or plain requests again and again. */
export type Transport = "ws" | "sse" | "poll";

/** In milliseconds. */
export interface Timeouts {
  /** Without a byte for so long, a connection is taken for dead. A server says something every 10 s (PROTOCOL.md §3). */
  silence: number;
  /** What says nothing at all for so long after it was opened is held back by something on the way. */
  firstWord: number;
}

export interface View {
  stream: string;
  from: From;
  merge: boolean;
  /** Gets each signal; never called before `open` has returned, nor after `close`. */
  emit: (signal: Signal) => void;
}

export interface Connection {
  /** Lets go of the view at once; may be called again. */
  close(): void;
  /** Looks whether the connection still lives: the machine slept, or the network changed. */
  check(): void;
  /** A request about the stream over this very connection, where it can bear one. */
  request?(op: string, fields: Record<string, unknown>): Promise<unknown> | undefined;
}

/** Opens views over one transport. Throws where there is no such transport, or the page may not use it. */
export type Open = (view: View) => Connection;

/** What transports need of their surroundings. */
export interface Surroundings {
  http: Http;
  WebSocket: typeof WebSocket | undefined;
  timeouts: Timeouts;
  /** The transport brought something: it works here. */
  works(transport: Transport): void;
  /** The transport does not open, or says nothing: something on the way may not let it through. */
  blocked(transport: Transport): void;
  /** What is to be done when the client is closed, for what lives longer than a view. */
  closing: (() => void)[];
}

/** A timer that can be set again and again; only the last one counts. */
export function createTimer(): { set(ms: number, then: () => void): void; clear(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const clear = (): void => clearTimeout(timer);
  return {
    clear,
    set(ms, then) {
      clear();
      timer = setTimeout(then, ms);
    },
  };
}
