import type { TapeEvent } from "tokentape";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { wordsOf } from "./doings.ts";
import { createNotes, type Notes } from "./notes.ts";
import { figuresOf } from "./pace.ts";

let notes: Notes;
let take: (event: TapeEvent) => void;
let offset = 0;

beforeEach(() => {
  vi.useFakeTimers();
  notes = createNotes();
  open("chats/one", "snapshot", 0);
});
afterEach(() => void vi.useRealTimers());

function open(stream: string, outcome: string, position: number): void {
  take = notes.view(stream);
  offset = position;
  tell("ready", { outcome, cursor: `k3f9-${position}` });
}

/** `steps`: as many events as were merged into this one. */
function tell(type: string, data: unknown, { run = "r_1", at = 0, steps = 1 } = {}): void {
  const isReady = type === "ready";
  if (!isReady) offset += steps;
  take({ type, data, ...(isReady ? {} : { run, at, cursor: `k3f9-${offset}` }) } as TapeEvent);
}

const shown = () => {
  vi.runAllTimers();
  return notes.of("r_1");
};

it("notes when the first token came, and how many there were", () => {
  tell("start", { message_id: "m", model: "far", provider: "openai" }, { at: 1000 });
  tell("token", "a", { at: 1200 });
  tell("token", "bcd", { at: 1300, steps: 3 });
  tell("done", { reason: "stop" }, { at: 3200 });
  expect(shown()).toMatchObject({ model: "far", started: 1000, first: 1200, ended: 3200, tokens: 4, after: "k3f9-1" });
  expect(figuresOf(shown(), 40)).toEqual(["far", "40 tokens", "20 tokens/s", "first after 200 ms"]);
});

it("does not take the last of many for the first", () => {
  tell("start", { message_id: "m", model: "far", provider: "openai" }, { at: 1000 });
  tell("token", "abc", { at: 1900, steps: 3 });
  expect(shown()).toMatchObject({ started: 1000, tokens: 3 });
  expect(shown()?.first).toBeUndefined();
  notes.learn("r_1", { first: 1100 });
  expect(shown()).toMatchObject({ first: 1100, tokens: 3 });
});

it("says what a run is doing until it speaks, and that it began anew", () => {
  tell("status", { state: "retrying" });
  expect(shown()?.status).toEqual({ state: "retrying" });
  tell("token", "a");
  tell("reset", { reason: "restarted" });
  expect(shown()).toMatchObject({ status: undefined, resets: ["restarted"], tokens: 0 });
});

it("takes whatever an agent says that it does", () => {
  for (const data of [null, "thinking", 7, { state: "queued" }, { state: "retrying" }, { failover: null }]) {
    tell("status", data);
    tell("metadata", data);
    expect(wordsOf(shown()?.status ?? "")).not.toMatch(/NaN|undefined/);
  }
  expect(wordsOf("thinking")).toBe("thinking");
  expect(wordsOf({ state: "reading" })).toBe("reading");
  expect(wordsOf({ state: "queued", position: 1 })).toBe("Waiting: 1 run before this one");
  expect(wordsOf({ failover: { model: "near", provider: "groq", code: "timeout" } })).toBe("Went over to near of groq, after timeout");
});

it("keeps what it knows of a chat while another one is looked at", () => {
  tell("start", { message_id: "m", model: "far", provider: "openai" }, { at: 1000 });
  tell("token", "a", { at: 1200 });
  open("chats/two", "snapshot", 0);
  tell("token", "b", { run: "r_2" });
  open("chats/one", "replayed", 2);
  tell("token", "cd", { at: 1400, steps: 2 });
  expect(shown()).toMatchObject({ model: "far", first: 1200, tokens: 3 });
  // What is told again is not counted twice, and what is not told again is forgotten.
  open("chats/one", "snapshot", 0);
  tell("token", "a", { run: "r_3" });
  expect(shown()).toBeUndefined();
  expect(notes.of("r_2")).toMatchObject({ tokens: 1 });
});

it("measures a live answer by the server's clock alone", () => {
  vi.setSystemTime(0);
  tell("token", "a", { at: 100_000 });
  tell("token", "b", { at: 100_250 });
  expect(figuresOf(shown(), undefined)).toContain("8 tokens/s");
});

it("tells its listeners a few times a second", () => {
  const listener = vi.fn();
  notes.subscribe(listener);
  for (let count = 0; count < 500; count += 1) tell("token", "a");
  vi.advanceTimersByTime(240);
  expect(listener).toHaveBeenCalledTimes(0);
  vi.advanceTimersByTime(20);
  expect(listener).toHaveBeenCalledTimes(1);
  expect(notes.of("r_1")).toBe(notes.of("r_1"));
});

it("forgets the oldest runs", () => {
  tell("token", "a");
  for (let number = 2; number < 2_003; number += 1) tell("token", "a", { run: `r_${number}` });
  expect(shown()).toBeUndefined();
});
