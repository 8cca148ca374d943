import { expect, test } from "vitest";
import type { Sample } from "./api.ts";
import { columns, inWords, join, percentile } from "./samples.ts";

const NONE = { count: 0, p50: null, p90: null, p99: null };

function sample(at: number, tokens = 0): Sample {
  const zero = { events: 0, delivered: 0, bytes_out: 0, watchers: 0, connections: 0, runs: 0, cpu: 0, memory: 0, resumes: 0, reconnects: 0 };
  return { ...zero, at, tokens, ttft: { count: 2, p50: 5, p90: 7, p99: 8 }, inter_token: NONE, delivery: NONE };
}

const times = (samples: readonly Sample[]): number[] => samples.map(({ at }) => at);

test("the newest are kept, each once, in order", () => {
  const old = [1, 2, 3].map((at) => sample(at));
  expect(times(join(old, [sample(4)], 3))).toEqual([2, 3, 4]);
  expect(times(join(old, [sample(2), sample(3), sample(5)], 10))).toEqual([1, 2, 3, 5]);
  expect(times(join([sample(9)], old, 10))).toEqual([1, 2, 3, 9]);
});

test("a second that was not measured is a gap, and what is too old is left out", () => {
  const [at, tokens] = columns([sample(1, 9), sample(10, 1), sample(11, 2), sample(20, 3)], [(each) => each.tokens], 12);
  expect(at).toEqual([10, 11, 15.5, 20]);
  expect(tokens).toEqual([1, 2, null, 3]);
});

test("a second that was late is no gap", () => {
  expect(columns([sample(1), sample(2.9)], [], 60)).toEqual([[1, 2.9]]);
});

test("percentiles of nothing are nothing", () => {
  expect(percentile("ttft", "p90")(sample(1))).toBe(7);
  expect(percentile("delivery", "p90")(sample(1))).toBeNull();
});

test("a line is said in words", () => {
  expect(inWords("p50", [3, null, 5, 4], (value) => `${value} ms`)).toBe("p50: now 4 ms, from 3 ms to 5 ms");
  expect(inWords("p50", [null], String)).toBe("p50: nothing measured");
});
