/**
 * What waits on a slow link: few messages, as in the queue of a slow modem.
 *
 * A page cannot make a sender wait. A WebSocket is read as fast as it comes, and Chromium takes in about a megabyte of a body
 * that nobody reads: at the pace of a slow link that is many minutes of text, all of it sent before the server feels that
 * anybody is slow. So the queue has a bound, and what is beyond it is not kept: the link hangs up after what it holds. The
 * client comes back with its cursor, and the server merges what it had not sent.
 */

import type { Wire } from "./link.ts";

/** Bytes (of a WebSocket: characters) that wait. A message that is larger, such as a backlog, passes all the same. */
const MAX_HELD = 8_192;

export interface LinkQueue<M extends { length: number }> {
  /** Takes a message; void after it has hung up. */
  take(message: M): void;
  /** Nothing more will come: `over` is called after what is held. */
  end(): void;
  /** Forgets what it holds, and calls nothing any more. */
  close(): void;
}

export interface LinkQueueOptions<M> {
  wire: Wire;
  /** Gets each portion of a message as it passes. */
  hand(message: M, from: number, to: number): void;
  /** There is too much: what sends should be let go of. `over` follows. */
  overflow(): void;
  /** The last of what was held has passed. */
  over(): void;
}

export function createLinkQueue<M extends { length: number }>({ wire, hand, overflow, over }: LinkQueueOptions<M>): LinkQueue<M> {
  const held: M[] = [];
  let size = 0;
  let passing = false;
  let ending = false;
  let closed = false;

  async function pass(): Promise<void> {
    passing = true;
    for (let message = held[0]; message && !closed; message = held[0]) {
      for (let from = 0; from < message.length; ) {
        const to = from + (await wire.pass(message.length - from));
        if (closed) return;
        wire.came(to - from);
        hand(message, from, to);
        from = to;
      }
      held.shift();
      size -= message.length;
    }
    passing = false;
    if (ending && !closed) over();
  }

  return {
    take(message) {
      if (closed || ending || message.length === 0) return;
      if (!wire.slow && !passing) {
        wire.came(message.length);
        return hand(message, 0, message.length);
      }
      held.push(message);
      size += message.length;
      if (wire.slow && size > MAX_HELD && held.length > 1) {
        ending = true;
        overflow();
      }
      if (!passing) void pass();
    },
    end() {
      ending = true;
      if (!passing && !closed) over();
    },
    close() {
      closed = true;
      held.length = 0;
    },
  };
}
