import type { Client } from "tokentape";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createCrowd, type CrowdReport } from "./crowd.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const report = (state: CrowdReport["state"]) => ({ state, stream: "runs/r_1", watchers: 10 }) as CrowdReport;

/** A server whose answers come when the test says so. */
function setUp() {
  const asked: { method: string; answer: (report: CrowdReport) => Promise<void> }[] = [];
  const call = (method: string) =>
    new Promise((resolve) => {
      const answer = async (said: CrowdReport): Promise<void> => {
        resolve(said);
        await vi.advanceTimersByTimeAsync(0);
      };
      asked.push({ method, answer });
    });
  const crowd = createCrowd({ call: call as Client["call"] }, "r_1");
  return { crowd, asked, methods: () => asked.map(({ method }) => method) };
}

test("it is looked at while it is there", async () => {
  const { crowd, asked, methods } = setUp();
  crowd.start(10, "sse");
  expect(crowd.get().busy).toBe(true);
  await asked[0]!.answer(report("connecting"));
  await vi.advanceTimersByTimeAsync(500);
  await asked[1]!.answer(report("ended"));
  await vi.advanceTimersByTimeAsync(5_000);
  expect([crowd.get().report?.state, methods()]).toEqual(["ended", ["POST", "GET"]]);
});

test("a look that was under way when it was ended says nothing any more", async () => {
  const { crowd, asked } = setUp();
  crowd.start(10, "sse");
  await asked[0]!.answer(report("watching"));
  await vi.advanceTimersByTimeAsync(500);
  crowd.end();
  await asked[1]!.answer(report("watching"));
  expect(crowd.get().busy).toBe(true);
  await asked[2]!.answer(report("ended"));
  expect(crowd.get()).toMatchObject({ busy: false, report: { state: "ended" } });
});

test("who leaves takes it along, also when it was only on its way", async () => {
  const { crowd, asked, methods } = setUp();
  crowd.start(10, "sse");
  crowd.leave();
  await asked[0]!.answer(report("connecting"));
  expect(methods()).toEqual(["POST", "DELETE"]);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(methods()).toEqual(["POST", "DELETE"]);
  expect(crowd.get()).toEqual({ busy: false });
});
