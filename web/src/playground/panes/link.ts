/**
 * The network of one pane: what stands between a client and the server, and can be cut, slowed, or made to lose something.
 *
 * It wraps `fetch` and `WebSocket`, so that the client above it and the server below it are the real ones. While it is cut,
 * what is open breaks and nothing new opens, as when a cable is pulled.
 */

import { createLinkedFetch } from "./link-fetch.ts";
import { createLinkedSocket } from "./link-socket.ts";

/** What the wrappers of a link share. */
export interface Wire {
  readonly up: boolean;
  /** Whether the next message that bears text is to be lost. */
  readonly losing: boolean;
  /** It was. */
  lost(): void;
  /** Resolves with how many of `bytes` may pass, when they may. */
  pass(bytes: number): Promise<number>;
  /** So much was handed to the client. */
  came(bytes: number): void;
  /** Whether there is a limit. */
  readonly slow: boolean;
  /** Adds what is to be broken when the link is cut; returns how to take it out again. */
  open(cut: () => void): () => void;
  /** Somebody tried to open something. */
  tried(): void;
}

export interface Link {
  readonly fetch: typeof fetch;
  readonly WebSocket: typeof WebSocket;
  readonly up: boolean;
  /** Bytes per second; 0 is as fast as it comes. */
  rate: number;
  cut(): void;
  restore(): void;
  /** Throws the next message with text away, which no network does to a whole message: to see that it is noticed. */
  lose(): void;
}

export interface LinkEvents {
  came(bytes: number): void;
  tried(up: boolean): void;
}

/** Seconds between two portions of a slow link. */
const TICK = 0.1;

export function createLink({ came, tried }: LinkEvents): Link {
  const opened = new Set<() => void>();
  let up = true;
  let rate = 0;
  let losing = false;
  let portion = 0;

  const wire: Wire = {
    get up() {
      return up;
    },
    get slow() {
      return rate > 0;
    },
    get losing() {
      return losing;
    },
    lost() {
      losing = false;
    },
    async pass(bytes) {
      if (rate > 0 && portion < 1) {
        await new Promise((resolve) => setTimeout(resolve, TICK * 1000));
        portion = rate * TICK;
      }
      // Looked at after the pause: the limit may have been taken off.
      if (rate === 0) return bytes;
      const size = Math.min(bytes, Math.max(1, Math.round(portion)));
      portion -= size;
      return size;
    },
    came,
    open(cut) {
      opened.add(cut);
      return () => opened.delete(cut);
    },
    tried: () => tried(up),
  };

  return {
    fetch: createLinkedFetch(wire),
    WebSocket: createLinkedSocket(wire),
    get up() {
      return up;
    },
    get rate() {
      return rate;
    },
    set rate(value) {
      rate = value;
    },
    cut() {
      up = false;
      for (const cut of [...opened]) cut();
      opened.clear();
    },
    restore() {
      up = true;
    },
    lose() {
      losing = true;
    },
  };
}

/** Whether a message is one to lose: what the model said, and no greeting or heartbeat. */
export const bearsText = (message: string): boolean => message.includes('"type":"token"');
