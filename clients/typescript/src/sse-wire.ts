/**
 * The body of an event stream in tokentape's own format, as signals for the session: pure.
 *
 * Laws (conformance/wire.json): how the text is cut changes nothing, and what is not a message of the protocol is a lost
 * connection, never an event.
 */

import { TokentapeError } from "./errors.ts";
import { invalid, item, type Signal } from "./session.ts";
import { createSseDecoder } from "./sse.ts";

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
