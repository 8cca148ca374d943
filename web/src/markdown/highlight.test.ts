import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Piece, Wanted } from "./highlight.ts";

class FakeWorker {
  static made: FakeWorker[] = [];
  asked: Wanted[] = [];
  isOver = false;
  onmessage?: (event: { data: readonly Piece[] | undefined }) => void;
  onerror?: () => void;

  constructor() {
    FakeWorker.made.push(this);
  }

  postMessage(wanted: Wanted): void {
    this.asked.push(wanted);
  }

  terminate(): void {
    this.isOver = true;
  }

  answer(...pieces: Piece[]): void {
    this.onmessage!({ data: pieces });
  }
}

let highlight: typeof import("./highlight.ts").highlight;

beforeEach(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("Worker", FakeWorker);
  FakeWorker.made = [];
  vi.resetModules();
  ({ highlight } = await import("./highlight.ts"));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test("one piece of code after the other is coloured, by one worker", async () => {
  const [first, second] = [highlight("python", "a"), highlight("python", "b")];
  const [worker] = FakeWorker.made as [FakeWorker];
  expect(worker.asked.map(({ text }) => text)).toEqual(["a"]);
  worker.answer(["hljs-keyword", ["a"]]);
  expect(await first).toEqual([["hljs-keyword", ["a"]]]);
  expect(worker.asked.map(({ text }) => text)).toEqual(["a", "b"]);
  worker.answer("b");
  expect(await second).toEqual(["b"]);
  expect(FakeWorker.made).toHaveLength(1);
});

test("code that takes for ever stays plain, and does not keep the next from its colours", async () => {
  const [endless, next] = [highlight("python", "endless"), highlight("python", "next")];
  vi.advanceTimersByTime(10_000);
  expect(await endless).toBeUndefined();
  const [stuck, fresh] = FakeWorker.made as [FakeWorker, FakeWorker];
  expect(stuck.isOver).toBe(true);
  fresh.answer("next");
  expect(await next).toEqual(["next"]);
  vi.advanceTimersByTime(60_000);
  expect(FakeWorker.made).toHaveLength(2);
});

test("a worker that cannot be loaded is asked for again by whoever comes next", async () => {
  const away = highlight("python", "away");
  FakeWorker.made[0]!.onerror!();
  expect(await away).toBeUndefined();
  const back = highlight("python", "back");
  FakeWorker.made[1]!.answer("back");
  expect(await back).toEqual(["back"]);
});

test("where there are no workers code is plain", async () => {
  vi.stubGlobal("Worker", undefined);
  await expect(highlight("python", "a")).resolves.toBeUndefined();
});
