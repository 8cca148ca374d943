import { expect, test } from "vitest";
import { beside } from "./beside.ts";

const events = ["k-1", "k-2", "k-3"].map((cursor) => ({ type: "token", cursor }));

test("an event has neighbours where the list has them", () => {
  expect([beside(events, "k-2", -1), beside(events, "k-2", 1)]).toEqual(["k-1", "k-3"]);
  expect([beside(events, "k-1", -1), beside(events, "k-3", 1)]).toEqual([undefined, undefined]);
});

test("what is not in the list has none", () => {
  expect([beside(events, "k-9", 1), beside(events, "k-9", -1), beside(events, undefined, 1)]).toEqual([undefined, undefined, undefined]);
});
