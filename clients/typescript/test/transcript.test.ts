/** The law of whole messages: what was said and not taken back is the same, however it was merged and in how many views it came. */

import fc from "fast-check";
import { expect, test } from "vitest";
import type { TapeEvent } from "../src/events.ts";
import { createTranscript, type Message } from "../src/transcript.ts";

interface Step {
  what: "message" | "start" | "token" | "done" | "rewind";
  run: number;
  which: number;
}

const steps = fc.array(
  fc.record({
    what: fc.constantFrom<Step["what"]>("message", "start", "token", "token", "token", "done", "rewind"),
    run: fc.nat(2),
    which: fc.nat(30),
  }),
  { maxLength: 40 },
);

/** A channel on which runs begin with their start, and a rewind names where a message began, or 0. */
function tape(steps: Step[]): TapeEvent[] {
  const events: object[] = [];
  const begins = [0];
  const running = new Map<number, string>();
  for (const { what, run, which } of steps) {
    const name = running.get(run);
    if (what === "message" || (what === "start" && !name)) begins.push(events.length + 1);
    if (what === "message") events.push({ type: what, data: { role: "user", content: which } });
    else if (what === "rewind") events.push({ type: "chat:rewind", data: { from: begins[which % begins.length] } });
    else if (what === "start" && !name) {
      running.set(run, `r_${events.length}`);
      events.push({ type: what, run: `r_${events.length}`, data: { message_id: `m_${events.length}` } });
    } else if (name) {
      if (what === "done") running.delete(run);
      if (what !== "start") events.push({ type: what, run: name, data: what === "done" ? { reason: "stop" } : `${which} ` });
    }
  }
  return events.map((event, place) => ({ ...event, cursor: `e1-${place + 1}` }) as TapeEvent);
}

/** Adjacent tokens of a run as one, wherever `joins` says so. */
function merged(events: TapeEvent[], joins: boolean[]): TapeEvent[] {
  const out: TapeEvent[] = [];
  for (const [place, event] of events.entries()) {
    const last = out.at(-1);
    if (event.type === "token" && last?.type === "token" && last.run === event.run && joins[place % joins.length])
      out[out.length - 1] = { ...event, data: `${last.data}${event.data}` };
    else out.push(event);
  }
  return out;
}

function said(events: TapeEvent[]): readonly Message[] {
  const transcript = createTranscript();
  for (const event of events) transcript.apply(event);
  return transcript.messages();
}

const begun = (outcome: string): TapeEvent => ({ type: "ready", data: { outcome, cursor: "e1-0" } }) as TapeEvent;

test("merged or not, in one view or after a snapshot or a loss, the same is left", () => {
  fc.assert(
    fc.property(steps, fc.array(fc.boolean(), { minLength: 1 }), fc.nat(40), fc.constantFrom("snapshot", "gone"), (steps, joins, cut, outcome) => {
      const events = tape(steps);
      const whole = said(events);
      expect(said(merged(events, joins))).toEqual(whole);
      expect(said([...merged(events.slice(0, cut), joins), begun("replayed"), ...merged(events.slice(cut), joins)])).toEqual(whole);
      expect(said([...events.slice(0, cut), begun(outcome), ...merged(events, joins)])).toEqual(whole);
    }),
  );
});

test("nothing is left of what began where a rewind reaches, and everything of the rest", () => {
  fc.assert(
    fc.property(steps, (steps) => {
      const events = tape(steps);
      const left = new Set(said(events).map(({ first }) => first));
      const isTakenBack = (first: number): boolean =>
        events.some(({ type, data }, place) => type === "chat:rewind" && place + 1 > first && (data as { from: number }).from <= first);
      for (const { first } of said(events.map((event) => (event.type === "chat:rewind" ? { ...event, type: "chat:other" } : event))))
        expect(left.has(first)).toBe(!isTakenBack(first!));
    }),
  );
});

test("a rewind that is not kept takes nothing back, and an answer that was can still be read", () => {
  const transcript = createTranscript();
  for (const event of tape([{ what: "message", run: 0, which: 1 }, { what: "start", run: 0, which: 0 }, { what: "token", run: 0, which: 7 }])) transcript.apply(event);
  transcript.apply({ type: "chat:rewind", data: { from: 0 } });
  expect(transcript.messages()).toHaveLength(2);
  transcript.apply({ type: "chat:rewind", data: { from: 2 }, cursor: "e1-4" });
  expect(transcript.messages()).toMatchObject([{ content: 1 }]);
  expect(transcript.answer("r_1")).toMatchObject({ content: "7 ", state: "running" });
});
