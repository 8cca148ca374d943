import { expect, test } from "vitest";
import type { Wire } from "./link.ts";
import { createLinkQueue } from "./link-queue.ts";

/** A wire on which so much passes at a time, when the test says so. */
function setUp(slow = true) {
  const waiting: (() => void)[] = [];
  let passed = "";
  const said: string[] = [];
  const wire = {
    slow,
    up: true,
    losing: false,
    lost() {},
    tried() {},
    came() {},
    open: () => () => {},
    pass: (size: number) => new Promise<number>((resolve) => waiting.push(() => resolve(Math.min(size, 4_000)))),
  } satisfies Wire;
  const queue = createLinkQueue<string>({
    wire,
    hand: (message, from, to) => (passed += message.slice(from, to)),
    overflow: () => said.push("overflow"),
    over: () => said.push("over"),
  });
  async function pass(): Promise<void> {
    waiting.shift()?.();
    for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
  }
  return { queue, said, pass, passed: () => passed, waits: () => waiting.length > 0 };
}

test("without a limit nothing waits", () => {
  const { queue, passed, waits } = setUp(false);
  queue.take("one");
  queue.take("two");
  expect([passed(), waits()]).toEqual(["onetwo", false]);
});

test("messages pass in order, and a large one in portions", async () => {
  const { queue, pass, passed, said } = setUp();
  queue.take("a".repeat(6_000));
  queue.take("b");
  expect(passed()).toBe("");
  await pass();
  expect(passed()).toBe("a".repeat(4_000));
  queue.end();
  await pass();
  await pass();
  expect([passed(), said]).toEqual([`${"a".repeat(6_000)}b`, ["over"]]);
});

test("beyond the bound it hangs up, after what it holds", async () => {
  const { queue, pass, passed, said, waits } = setUp();
  queue.take("a".repeat(100_000)); // a backlog may be larger than the bound
  expect(said).toEqual([]);
  queue.take("b");
  expect(said).toEqual(["overflow"]);
  queue.take("never");
  while (waits()) await pass();
  expect([passed().length, passed().endsWith("b"), said]).toEqual([100_001, true, ["overflow", "over"]]);
});

test("what is closed says no more", async () => {
  const { queue, pass, passed, said } = setUp();
  queue.take("one");
  queue.close();
  await pass();
  expect([passed(), said]).toEqual(["", []]);
});
