import type { TapeEvent } from "tokentape";
import { expect, test } from "vitest";
import { relate } from "./equality.ts";
import { createLedger, type Ledger } from "./ledger.ts";

const event = (offset: number, type: string, data: unknown, epoch = "e"): TapeEvent =>
  ({ type, data, run: "r_1", cursor: `${epoch}-${offset}` }) as TapeEvent;

const ready = (offset: number, outcome = "replayed", epoch = "e"): TapeEvent =>
  ({ type: "ready", data: { outcome, cursor: `${epoch}-${offset}` } }) as TapeEvent;

const SAID: readonly TapeEvent[] = [
  event(3, "start", { message_id: "m", model: "x", provider: "y" }),
  event(4, "token", "One "),
  event(5, "token", "two "),
  event(6, "token", "three."),
  event(8, "reasoning", "Hm"), // 7 is somebody else's, on the same channel
  event(9, "usage", { input_tokens: 1, output_tokens: 3 }),
  event(10, "done", { reason: "stop" }),
];

function ledgerOf(events: readonly TapeEvent[], base = 2): Ledger {
  const ledger = createLedger();
  for (const each of [ready(base), ...events]) ledger.take(each);
  return ledger;
}

function tape(events: readonly TapeEvent[] = SAID): Ledger {
  const ledger = createLedger({ single: true });
  for (const each of [ready(0), ...events]) ledger.take(each);
  return ledger;
}

const merged = [SAID[0]!, event(5, "token", "One two "), event(6, "token", "three."), ...SAID.slice(4)];

test("how a stream was merged changes nothing", () => {
  expect(ledgerOf(merged).record).toBe(tape().record);
  expect(ledgerOf(merged).text).toBe("One two three.");
  expect(relate(ledgerOf(merged), tape(), true)).toEqual({ kind: "whole" });
});

test("a part is equal so far, and never whole", () => {
  for (let length = 0; length < SAID.length; length += 1) {
    expect(relate(ledgerOf(SAID.slice(0, length)), tape(), true).kind).toBe("prefix");
    expect(relate(ledgerOf(SAID), tape(SAID.slice(0, length)), true).kind).toBe(length === 0 ? "unknown" : "prefix");
  }
});

test("each event that is lost is counted, whatever it is, and however the others came", () => {
  for (let lost = 0; lost < SAID.length - 1; lost += 1) {
    const relation = relate(ledgerOf(SAID.toSpliced(lost, 1)), tape(), true);
    expect(relation).toMatchObject({ kind: "differs", lost: 1 });
    expect((relation as { offset: number }).offset).toBe(Number(SAID[lost]!.cursor!.slice(2)));
  }
  expect(relate(ledgerOf([SAID[0]!, event(6, "token", "One three."), ...SAID.slice(4)]), tape(), true)).toMatchObject({ lost: 1 });
});

test("what is said otherwise differs", () => {
  expect(relate(ledgerOf(SAID.with(2, event(5, "token", "2 "))), tape(), true)).toMatchObject({ kind: "differs", offset: 5 });
  expect(relate(ledgerOf(SAID.with(5, event(9, "usage", {}))), tape(), true)).toMatchObject({ kind: "differs", offset: 9 });
});

test("who joined later has the rest, wherever that begins", () => {
  for (let first = 1; first < SAID.length; first += 1) {
    const base = Number(SAID[first - 1]!.cursor!.slice(2));
    expect(relate(ledgerOf(SAID.slice(first), base), tape(), true)).toEqual({ kind: "whole" });
    expect(relate(ledgerOf(SAID.slice(first).toSpliced(0, 1), base), tape(), true).kind).toBe(first < SAID.length - 1 ? "differs" : "prefix");
  }
});

test("where it joined is not known to who got that merged", () => {
  expect(relate(ledgerOf(SAID.slice(2), 4), ledgerOf(merged), false)).toEqual({ kind: "unknown" });
});

test("what comes again, or from another life, is counted and not taken", () => {
  const ledger = ledgerOf(SAID.slice(0, 3));
  expect(ledger.take(SAID[1]!)).toBe(0);
  expect(ledger.take(event(6, "token", "x", "other"))).toBe(0);
  expect([ledger.repeated, ledger.text, ledger.offset]).toEqual([2, "One two ", 5]);
});

test("a reset begins the text anew, and `gone` everything", () => {
  const ledger = ledgerOf([...SAID.slice(0, 3), event(6, "reset", { reason: "restarted" }), event(7, "token", "Again")]);
  expect(ledger.text).toBe("Again");
  ledger.take(ready(0, "gone", "next"));
  ledger.take(event(1, "token", "New", "next"));
  expect([ledger.text, ledger.base, ledger.repeated]).toEqual(["New", 0, 0]);
});
