/** The vectors that Python's client and core pass too: see conformance/. */

import { describe, expect, test } from "vitest";
import { parseCursor } from "../src/cursor.ts";
import { type ErrorCode, errorFrom } from "../src/errors.ts";
import type { TapeEvent } from "../src/events.ts";
import { type Action, createSession, type SessionOptions, type Signal } from "../src/session.ts";
import { createSseDecoder, type ServerSentEvent } from "../src/sse.ts";
import { createTranscript } from "../src/transcript.ts";
import { createSseReading } from "../src/sse-wire.ts";
import { closed, type Down, signalsOf } from "../src/ws-wire.ts";
import { createPollReading } from "../src/poll-wire.ts";
import { cases, inParts } from "./vectors.ts";

type Json = Record<string, unknown>;

interface SseCase {
  name: string;
  text?: string;
  base64?: string;
  limits?: { line?: number; event?: number };
  events: ServerSentEvent[];
  fault?: boolean;
  retry?: number;
}

describe.each([1, 3, 10_000])("event streams, cut every %i bytes", (cut) => {
  test.each(cases<SseCase>("sse"))("$name", ({ text, base64, limits = {}, events, fault = false, retry }) => {
    const bytes = base64 === undefined ? new TextEncoder().encode(text) : Uint8Array.from(Buffer.from(base64, "base64"));
    const decoder = createSseDecoder({
      ...(limits.line !== undefined && { maxLine: limits.line }),
      ...(limits.event !== undefined && { maxEvent: limits.event }),
    });
    const utf8 = new TextDecoder();
    const received: ServerSentEvent[] = [];
    let failed = false;
    try {
      inParts(bytes, cut, (part) => received.push(...decoder.receive(utf8.decode(part, { stream: true }))));
      decoder.receive("");
    } catch {
      failed = true;
    }
    expect(received).toEqual(events);
    expect(failed).toBe(fault);
    expect(decoder.retry).toBe(retry);
  });
});

test.each(cases<{ text: string; cursor: unknown }>("cursors"))("cursor $text", ({ text, cursor }) => {
  expect(parseCursor(text) ?? null).toEqual(cursor);
});

function messagesOf(events: [offset: number, event: object][]): Json[] {
  const transcript = createTranscript();
  for (const [offset, event] of events) transcript.apply({ ...event, cursor: `e1-${offset}` } as TapeEvent);
  return transcript.messages().map((message) =>
    // The server leaves out what is empty.
    Object.fromEntries(Object.entries(message).filter(([name, value]) => name === "id" || (value !== "" && String(value) !== ""))),
  );
}

test.each(cases<{ name: string; events: object[]; messages: Json[] }>("transcripts"))("transcript: $name", ({ events, messages }) => {
  expect(messagesOf(events.map((event, place) => [place + 1, event]))).toEqual(messages);
});

test.each(cases<{ name: string; events: object[]; merged: { offset: number; event: object }[] }>("merge"))(
  "merged or not, the same is assembled: $name",
  ({ events, merged }) => {
    const whole = messagesOf(events.map((event, place) => [place + 1, event]));
    const first = (message: Json): Json => ({ ...message, first: 0 }); // a merged event has the last one's offset
    expect(messagesOf(merged.map(({ offset, event }) => [offset, event])).map(first)).toEqual(whole.map(first));
  },
);

interface SignalCase {
  type: string;
  event?: TapeEvent;
  cursor?: string;
  code?: string;
  ms?: number;
  retry_after?: number;
}

function signalOf({ type, event, cursor, code, ms, retry_after = 0 }: SignalCase): Signal {
  const signal = {
    type,
    ...(event && { event: { ...event, ...(cursor !== undefined && { cursor }) } }),
    ...(code !== undefined && { error: errorFrom({ code }, 0, retry_after / 1000) }),
    ...(ms !== undefined && { ms }),
  };
  return signal as Signal;
}

/** A signal or an action in the words of the vectors. */
function told(what: Signal | Action | undefined): Json | null {
  if (!what) return null;
  const { type } = what;
  const given: Json = { type };
  if ("event" in what) {
    const { cursor, ...event } = what.event;
    given.event = event;
    if (cursor !== undefined) given.cursor = cursor;
  }
  if ("from" in what) given.from = what.from;
  if ("ms" in what) given.ms = Math.round(what.ms * 1000) / 1000;
  if ("error" in what) given.code = what.error.code satisfies ErrorCode;
  if (type === "lost" && what.error.retryAfter > 0) given.retry_after = what.error.retryAfter;
  return given;
}

interface SessionCase {
  name: string;
  options: SessionOptions;
  steps: { now: number; random: number; signal: SignalCase; action: Json | null }[];
  end: Json;
}

test.each(cases<SessionCase>("session"))("session: $name", ({ options, steps, end }) => {
  const session = createSession(options);
  for (const { now, random, signal, action } of steps) {
    expect(told(session.step(signalOf(signal), now, random))).toEqual(action);
  }
  expect({ state: session.state, position: session.position, repeated: session.repeated }).toEqual(end);
});

interface WireCase {
  name: string;
  body?: string;
  messages?: Down[];
  polled?: { from: string; answers: string[]; position: string };
  signals: Json[];
}

test.each(cases<WireCase>("wire"))("wire: $name", ({ body, messages = [], polled, signals }) => {
  if (polled) {
    const reading = createPollReading(polled.from);
    expect(polled.answers.flatMap(reading.receive).map(told)).toEqual(signals);
    return expect(reading.position).toBe(polled.position);
  }
  expect(messages.flatMap((down) => signalsOf(down, 0)).map(told)).toEqual(body === undefined ? signals : []);
  for (const cut of body === undefined ? [] : [1, 7, 10_000]) {
    const receive = createSseReading();
    const utf8 = new TextDecoder();
    const received: Signal[] = [];
    inParts(new TextEncoder().encode(body), cut, (part) => {
      // Nobody reads on from a connection that is lost.
      if (received.at(-1)?.type !== "lost") received.push(...receive(utf8.decode(part, { stream: true })));
    });
    expect(received.map(told)).toEqual(signals);
  }
});

interface CloseCase {
  code: number;
  reason: string;
  signal: string;
  retry_after: number;
}

test.each(cases<CloseCase>("closes"))("closed with $code $reason", ({ code, reason, signal, retry_after }) => {
  expect(told(closed(code, reason))).toMatchObject({ type: signal, ...(retry_after > 0 && { retry_after }) });
});
