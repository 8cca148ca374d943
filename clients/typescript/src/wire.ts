/**
 * What a server sends, as signals for the session: pure, one reading for each transport.
 *
 * Laws (conformance/wire.json): how the text is cut changes nothing, and what is not a message of the protocol is a lost
 * connection, never an event.
 */

import { errorFrom, isObject, TokentapeError } from "./errors.ts";
import type { TapeEvent } from "./events.ts";
import type { Signal } from "./session.ts";
import { createSseDecoder } from "./sse.ts";

/** The signal for an error answer: lost when the same request may do better later, else refused. */
export function refusal(error: TokentapeError): Signal {
  const again = error.retryable || error.status >= 500 || error.code === "internal_error";
  return { type: again ? "lost" : "refused", error };
}

const invalid = (): TokentapeError => new TokentapeError("invalid_event", "The server sent a record that is not an event.");

function item(record: unknown, cursor: string | undefined, size: number): Signal {
  if (!isObject(record) || typeof record.type !== "string") {
    return { type: "lost", error: invalid() };
  }
  if (cursor !== undefined) record.cursor = cursor;
  return { type: "item", event: record as unknown as TapeEvent, size };
}

/** Reads the body of an event stream in tokentape's own format, as it comes. */
export function createSseReading(): (text: string) => Signal[] {
  const decoder = createSseDecoder();
  let last = "";
  let retry: number | undefined;
  return (text) => {
    const signals: Signal[] = [];
    try {
      const events = decoder.receive(text);
      if (decoder.retry !== retry) signals.push({ type: "retry", ms: (retry = decoder.retry!) });
      for (const { data, id } of events) {
        // An id stays in force until the next one, so only a new one is the position of this very event.
        signals.push(data === "[DONE]" ? { type: "ended" } : item(JSON.parse(data), id && id !== last ? id : undefined, data.length));
        last = id;
      }
    } catch (error) {
      // Past a cap, or not JSON.
      signals.push({ type: "lost", error: error instanceof TokentapeError ? error : invalid() });
    }
    return signals;
  };
}

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
