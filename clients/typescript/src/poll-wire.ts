/** The answers to plain requests, as signals for the session: pure, with the laws of `sse-wire.ts`. */

import { TokentapeError } from "./errors.ts";
import type { From } from "./events.ts";
import { item, type Signal } from "./session.ts";

interface Answer {
  events: object[];
  cursor: string;
  outcome: string;
  reason?: string;
  ended: boolean;
}

/** Reads one answer after the other, as one view that goes on. */
export function createPollReading(start: From): { readonly position: From; receive(text: string): Signal[] } {
  let isAnnounced = false;

  function signalsOf(text: string): Signal[] {
    const { events, cursor, outcome, reason, ended } = JSON.parse(text) as Answer;
    const signals: Signal[] = [];
    const startsOver = /^(gone|snapshot)$/.test(outcome);
    if (startsOver || !isAnnounced) {
      // An answer says where it ends, not where it begins, and its first event may be a merged one.
      const begin = !startsOver && reading.position.includes("-") ? reading.position : events[0] ? cursor.replace(/-.*/, "-0") : cursor;
      signals.push(item({ type: "ready", data: { outcome, cursor: begin, ...(reason && { reason }) } }, undefined, 0));
    }
    for (const event of events) signals.push(item(event, undefined, text.length / events.length));
    if (ended) signals.push({ type: "ended" });
    isAnnounced = true;
    reading.position = cursor;
    return signals;
  }

  const reading = {
    /** What the next request asks for. */
    position: start,
    receive(text: string): Signal[] {
      try {
        return signalsOf(text);
      } catch {
        return [{ type: "lost", error: new TokentapeError("protocol_error", "The server's answer is no list of events.") }];
      }
    },
  };
  return reading;
}
