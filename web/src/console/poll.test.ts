import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TokentapeError } from "tokentape";
import { createPoll } from "./poll.ts";

const page = Object.assign(new EventTarget(), { visibilityState: "visible" });

function look(state: "visible" | "hidden"): void {
  page.visibilityState = state;
  page.dispatchEvent(new Event("visibilitychange"));
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", page);
  page.visibilityState = "visible";
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("one request at a time, while somebody looks", async () => {
  const asked: PromiseWithResolvers<number>[] = [];
  const poll = createPoll(() => {
    asked.push(Promise.withResolvers());
    return asked.at(-1)!.promise;
  }, 1000);
  expect(asked).toHaveLength(0);
  const leave = poll.subscribe(() => {});
  await vi.advanceTimersByTimeAsync(5000);
  expect(asked).toHaveLength(1);
  asked[0]!.resolve(7);
  await vi.advanceTimersByTimeAsync(999);
  expect([poll.get().data, asked.length]).toEqual([7, 1]);
  await vi.advanceTimersByTimeAsync(1);
  expect(asked).toHaveLength(2);
  leave();
  asked[1]!.resolve(8);
  await vi.advanceTimersByTimeAsync(5000);
  expect([poll.get().data, asked.length]).toEqual([7, 2]);
});

test("nothing is asked while the page is hidden, and at once when it is not", async () => {
  const signals: AbortSignal[] = [];
  const poll = createPoll(async (signal) => signals.push(signal), 1000);
  const leave = poll.subscribe(() => {});
  look("hidden");
  expect(signals[0]!.aborted).toBe(true);
  await vi.advanceTimersByTimeAsync(5000);
  expect(signals).toHaveLength(1);
  look("visible");
  await vi.advanceTimersByTimeAsync(0);
  expect(signals).toHaveLength(2);
  leave();
});

test("an answer stays while the server is away, and the last one is the last", async () => {
  const answers = [async () => "running", async () => Promise.reject(new Error("away")), async () => "done"];
  const asked = vi.fn(async () => answers.shift()!());
  const poll = createPoll(asked, 1000, (state) => state === "done");
  const leave = poll.subscribe(() => {});
  await vi.advanceTimersByTimeAsync(1000);
  expect(poll.get()).toEqual({ data: "running", error: new Error("away") });
  await vi.advanceTimersByTimeAsync(9000);
  expect(poll.get()).toEqual({ data: "done" });
  expect(asked).toHaveBeenCalledTimes(3);
  leave();
});

test("what is wanted once is asked for until the server is there, and not where it was refused", async () => {
  const away = new TokentapeError("unreachable", "away", { retryable: true });
  const answers = [async () => Promise.reject(away), async () => "there"];
  const asked = vi.fn(async () => answers.shift()!());
  const refused = vi.fn(async () => Promise.reject(new TokentapeError("bad_request", "no", { status: 400 })));
  const [poll, other] = [createPoll(asked, 0), createPoll(refused, 0)];
  const leave = [poll.subscribe(() => {}), other.subscribe(() => {})];
  await vi.advanceTimersByTimeAsync(0);
  expect(poll.get().error).toBe(away);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(poll.get()).toEqual({ data: "there" });
  expect([asked.mock.calls.length, refused.mock.calls.length]).toEqual([2, 1]);
  leave.forEach((each) => each());
});
