import { expect, test } from "vitest";
import { type ErrorCode, TokentapeError } from "tokentape";
import { createHealth } from "./health.ts";

const fault = (code: string, status = 0): TokentapeError => new TokentapeError(code as ErrorCode, code, { status });

test("it says since when the server is gone, and that it is back", () => {
  let now = 10;
  const health = createHealth(() => now);
  health.failed(fault("unreachable"));
  now = 20;
  health.failed(fault("http_error", 502));
  expect(health.get()).toMatchObject({ state: "gone", since: 10 });
  health.heard();
  expect(health.get()).toEqual({ state: "well" });
});

test.each([["admin_off", "off"], ["unauthorized", "key"], ["run_not_found", "well"], ["internal_error", "well"], ["store_unavailable", "well"]])("%s: %s", (code, state) => {
  const health = createHealth();
  health.failed(fault(code, code.startsWith("store_") ? 503 : 404));
  expect(health.get().state).toBe(state);
});
