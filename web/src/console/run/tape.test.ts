import { expect, test } from "vitest";
import type { TapeEvent } from "tokentape";
import { density, Tape } from "./tape.ts";

function tapeOf(...told: [type: string, data: unknown, at: number][]): Tape {
  const tape = new Tape();
  told.forEach(([type, data, at], place) => tape.add({ type, data, at: 1_000_000 + at, cursor: `k3f9-${place + 1}`, run: "r_1" } as TapeEvent));
  return tape;
}

const START = { message_id: "m_1", model: "simulated", provider: "simulated" };

test("there is a text for each moment", () => {
  const tape = tapeOf(["start", START, 0], ["reasoning", "hm", 5], ["token", "a", 10], ["token", "b", 10], ["token", "c", 30], ["done", { reason: "stop" }, 31]);
  expect([0, 9, 10, 29, 30, 99].map((time) => tape.textAfter(tape.countAt(time)))).toEqual(["", "", "ab", "ab", "abc", "abc"]);
  expect(tape.reasoningAfter(tape.countAt(5))).toBe("hm");
  expect([tape.countAt(-1), tape.countAt(0), tape.duration, tape.ended]).toEqual([0, 1, 31, true]);
});

test("a reset begins a new text, and the old one is there before it", () => {
  const tape = tapeOf(["token", "old", 0], ["reset", { reason: "restarted" }, 10], ["token", "new", 20]);
  expect([1, 2, 3].map((count) => tape.textAfter(count))).toEqual(["old", "", "new"]);
  expect(tape.marks.map(({ kind, time }) => [kind, time])).toEqual([["first_token", 0], ["reset", 10]]);
});

test("marks say what there is to look for", () => {
  const tape = tapeOf(
    ["start", START, 0],
    ["token", "a", 40],
    ["token", "b", 2_540],
    ["tool_call", { id: "c1", name: "look", arguments: { a: 1 } }, 2_550],
    ["tool_result", { id: "c1", output: "x" }, 2_560],
    ["done", { reason: "stopped", detail: "enough" }, 9_000],
  );
  expect(tape.marks).toEqual([
    { kind: "start", label: "simulated at simulated", time: 0 },
    { kind: "first_token", label: "first token, after 40 ms", time: 40 },
    { kind: "stall", label: "2.5 s without an event", time: 40, until: 2_540 },
    { kind: "tool", label: "look", time: 2_550 },
    { kind: "stop", label: "stopped: enough", time: 9_000 },
  ]);
  expect(tape.tools.map(({ kind, text }) => [kind, text])).toEqual([["call", '{"a":1}'], ["result", "x"]]);
});

test("clocks that go back do not move what was before", () => {
  const tape = tapeOf(["token", "a", 100], ["token", "b", 50], ["token", "c", 120]);
  expect(tape.times).toEqual([0, 0, 20]);
});

test("what no tape has is passed over", () => {
  const tape = new Tape();
  tape.add({ type: "ready", data: { outcome: "replayed", cursor: "k3f9-0" } });
  expect(tape.events).toEqual([]);
});

test("the shape of a run is from 0 to 1", () => {
  expect(density([0, 0, 0, 0, 100], 2)).toEqual([1, 0.5]);
  expect(density([], 3)).toEqual([0, 0, 0]);
});

test("a tape is kept up to a bound, of events and of what is in them", () => {
  const tape = tapeOf(["token", "x".repeat(30_000_000), 0]);
  expect(tape.isLive).toBe(true);
  tape.add({ type: "tool_result", data: { id: "c1", output: "y".repeat(30_000_000) }, at: 1, cursor: "k3f9-2" } as TapeEvent);
  tape.add({ type: "token", data: "z", at: 1, cursor: "k3f9-3" } as TapeEvent);
  expect([tape.events.length, tape.full, tape.ended, tape.isLive]).toEqual([1, true, false, false]);
});
