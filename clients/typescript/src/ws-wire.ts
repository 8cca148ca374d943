/** What a server sends over a WebSocket, as signals for the session: pure, with the laws of `sse-wire.ts`. */

import { errorFrom, TokentapeError } from "./errors.ts";
import { item, refusal, type Signal } from "./session.ts";

/** A message that the server sent over a WebSocket. */
export interface Down {
  op?: unknown;
  id?: unknown;
  stream?: unknown;
  cursor?: unknown;
  event?: unknown;
  data?: unknown;
  error?: unknown;
}

/** The signals of a message to whoever subscribed; the answer to a `subscribe` opens the view. */
export function signalsOf(down: Down, size: number): Signal[] {
  switch (down.op) {
    case "ack":
      return [{ type: "opened" }, item({ type: "ready", data: down.data }, undefined, size)];
    case "ready":
      return [item({ type: "ready", data: down.data }, undefined, size)];
    case "event":
      return [item(down.event, down.cursor as string | undefined, size)];
    case "end":
      return [{ type: "ended" }];
    case "error":
      return [refusal(errorFrom(down.error))];
    default:
      return []; // an answer of a later version of the protocol
  }
}

/** The signal for a WebSocket that was closed before the end of a subscription (PROTOCOL.md §4). */
export function closed(code: number, reason: string): Signal & { error: TokentapeError } {
  // A clean end is no terminal event (P4), so 1000 is a reason to come back.
  const final = /^(100[23789]|1010|3[5-9]..)$/.test(`${code}`);
  const error = new TokentapeError(
    code === 3500 ? "unauthorized" : final ? "protocol_error" : "unreachable",
    `The WebSocket was closed with ${code} ${reason}`,
    { retryable: !final, retryAfter: Number(/^retry=(\d{1,9})(;|$)/.exec(reason)?.[1] ?? 0) },
  );
  return { type: final ? "refused" : "lost", error };
}
