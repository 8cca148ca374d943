import { expect, test } from "vitest";
import { parseRoute, routeTo } from "./route.ts";

test.each([
  ["", "overview", "", {}],
  ["#/", "overview", "", {}],
  ["#/runs", "runs", "", {}],
  ["#/runs?state=live&q=a%26b", "runs", "", { state: "live", q: "a&b" }],
  ["#/runs/r_1?event=k3f9-7", "run", "r_1", { event: "k3f9-7" }],
  ["#/streams/rooms/general", "stream", "rooms/general", {}],
  ["#/streams/rooms/a%3Fb", "stream", "rooms/a?b", {}],
  ["#/streams/50%", "stream", "50%", {}],
  ["#/nowhere/else", "unknown", "nowhere/else", {}],
  ["#/toString", "unknown", "toString", {}],
  ["#/streams/../models", "unknown", "streams/../models", {}],
  ["#/streams/rooms/%2e%2E/%2E%2e/models", "unknown", "streams/rooms/%2e%2E/%2E%2e/models", {}],
  ["#/streams/rooms/a..b", "stream", "rooms/a..b", {}],
])("%s", (hash, screen, name, query) => {
  expect(parseRoute(hash)).toEqual({ screen, name, query });
});

test("an address leads back to what it was made of", () => {
  const hash = routeTo("streams/rooms/a?b#c", { view: "history", q: "", before: undefined });
  expect(hash).toBe("#/streams/rooms/a%3Fb%23c?view=history");
  expect(parseRoute(hash)).toEqual({ screen: "stream", name: "rooms/a?b#c", query: { view: "history" } });
});
