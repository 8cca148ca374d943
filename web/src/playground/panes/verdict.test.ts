import { expect, test } from "vitest";
import type { TapeEvent } from "tokentape";
import { createLedger } from "./ledger.ts";
import { judge } from "./verdict.ts";

const event = (type: string, data: unknown, cursor?: string): TapeEvent => ({ type, run: "r_1", data, cursor }) as unknown as TapeEvent;

/** What somebody was given who was there from the beginning. */
function given(...said: string[]) {
  const ledger = createLedger({ single: true });
  ledger.take(event("ready", { outcome: "live", cursor: "e-0" }));
  for (const [place, text] of said.entries()) ledger.take(event("token", text, `e-${place + 1}`));
  return { id: "w1", name: "SSE", from: "start" as const, ledger };
}

const kindOf = (watcher: ReturnType<typeof given>, tape: ReturnType<typeof given>): string => judge([watcher], tape).verdict.kind;

test("a watcher with the beginning of the tape is equal so far, another one differs", () => {
  expect(kindOf(given("a"), given("a", "b"))).toBe("so-far");
  expect(kindOf(given("a", "c"), given("a", "b"))).toBe("differs");
  expect(kindOf(given(), given())).toBe("none");
});

test("what was too long to be kept is not called equal", () => {
  const long = "x".repeat(16_000_001);
  expect(kindOf(given(long, "y", "z"), given(long, "y", "z"))).toBe("too-long");
});
