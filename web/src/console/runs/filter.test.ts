import { expect, test } from "vitest";
import type { RunRow } from "../api.ts";
import { filtered, scopeOf, stoppable } from "./filter.ts";

const row = (id: string, state: RunRow["state"], model = "simulated"): RunRow => ({
  id, state, model, stream: `runs/${id}`, provider: null, reason: null, created_at: 0, started_at: null, ended_at: null, age: 0,
  tokens: null, rate: null, ttft_ms: null, watchers: 0, lag: 0, attempts: 0, error: null,
});
const rows = [row("r_a", "running"), row("r_b", "queued", "GPT"), row("r_c", "done")];
const ids = (found: readonly RunRow[]): string[] => found.map(({ id }) => id);

test("a filter is by state and by text", () => {
  expect(ids(filtered(rows, "all", ""))).toEqual(["r_a", "r_b", "r_c"]);
  expect(ids(filtered(rows, "live", ""))).toEqual(["r_a"]);
  expect(ids(filtered(rows, "all", " gpt "))).toEqual(["r_b"]);
  expect(ids(filtered(rows, "done", "gpt"))).toEqual([]);
  expect(scopeOf("live")).toBe("live");
  expect(scopeOf("else")).toBe("all");
});

test("what has ended meanwhile is not to be stopped", () => {
  expect(stoppable(rows, new Set(["r_a", "r_c", "r_gone"]))).toEqual(["r_a"]);
});
