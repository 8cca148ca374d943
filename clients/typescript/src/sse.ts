/**
 * A decoder of server-sent events that takes text as it comes.
 *
 * Laws (conformance/sse.json, test/sse.test.ts): how the text is cut changes nothing; at most one partial line and one
 * event's data are held, whatever comes. Source: WHATWG HTML, "Interpreting an event stream".
 */

import { TokentapeError } from "./errors.ts";

/** One dispatched event; `id` is the last event id in force, which later events without one of their own inherit. */
export interface ServerSentEvent {
  data: string;
  event: string;
  id: string;
}

export interface SseDecoder {
  /** Takes the next text; returns the events that it completes. Throws `protocol_error` past a cap. */
  receive(text: string): ServerSentEvent[];
  /** The reconnection time that the server asked for last, in milliseconds. */
  readonly retry: number | undefined;
}

/** In UTF-16 units. */
export interface SseLimits {
  maxLine?: number;
  maxEvent?: number;
}

/** The events before a fault are handed out first. */
export function createSseDecoder({ maxLine = 1_048_576, maxEvent = 4_194_304 }: SseLimits = {}): SseDecoder {
  let rest = "";
  let afterCr = false;
  let data: string | undefined;
  let event = "";
  let id = "";
  let retry: number | undefined;
  let fault: TokentapeError | undefined;

  function check(text: string, max: number): void {
    if (text.length > max) fault = new TokentapeError("protocol_error", `A line or event is longer than ${max}.`);
    if (fault) throw fault;
  }

  function take(text: string, events: ServerSentEvent[]): void {
    // A CR ends its line at once; only an LF right after it, maybe in the next text, is void.
    if (afterCr && text[0] === "\n") text = text.slice(1);
    if (text === "") return void (afterCr = false);
    afterCr = text.endsWith("\r");
    const lines = text.split(/\r\n?|\n/);
    lines[0] = rest + lines[0];
    rest = lines.pop()!;
    for (const line of lines) {
      check(line, maxLine);
      if (line !== "") read(line);
      else {
        if (data !== undefined) events.push({ data, event: event || "message", id });
        data = undefined;
        event = "";
      }
    }
    check(rest, maxLine);
  }

  function read(line: string): void {
    const [, name, value = ""] = /^([^:]*)(?:: ?([^]*))?$/.exec(line)!;
    if (name === "data") {
      data = data === undefined ? value : `${data}\n${value}`;
      check(data, maxEvent);
    } else if (name === "event") event = value;
    else if (name === "id" && !value.includes("\0")) id = value;
    else if (name === "retry" && /^\d{1,15}$/.test(value)) retry = Number(value);
  }

  return {
    get retry() {
      return retry;
    },
    receive(text) {
      check("", 0);
      const events: ServerSentEvent[] = [];
      try {
        take(text, events);
      } catch (error) {
        rest = data = "";
        if (!events[0]) throw error;
      }
      return events;
    },
  };
}
