import { expect, test } from "vitest";
import { addressOf, pageOf, placeOf, queryOf } from "./pages.ts";

const items = (...offsets: number[]): { cursor: string }[] => offsets.map((offset) => ({ cursor: `k-${offset}` }));

test("the newest page leads to older ones only", () => {
  const place = placeOf({});
  expect(queryOf(place).order).toBe("newest");
  expect(pageOf(place, { items: items(9, 8), next: "k-8" })).toEqual({ items: items(8, 9), older: { before: "k-8" }, newer: undefined });
});

test("a page in the middle leads both ways", () => {
  expect(pageOf(placeOf({ before: "k-8" }), { items: items(7, 6), next: "k-6" })).toEqual({ items: items(6, 7), older: { before: "k-6" }, newer: { after: "k-7" } });
  expect(pageOf(placeOf({ after: "k-5" }), { items: items(6, 7), next: "k-7" })).toEqual({ items: items(6, 7), older: { before: "k-6" }, newer: { after: "k-7" } });
});

test("a page without anything on it is no end", () => {
  expect(pageOf(placeOf({ before: "k-9000" }), { items: [], next: "k-5000" })).toEqual({ items: [], older: { before: "k-5000" }, newer: { at: "oldest" } });
  expect(pageOf(placeOf({ after: "k-9" }), { items: [], next: null })).toEqual({ items: [], older: { at: "newest" }, newer: undefined });
});

test("both ends are ends", () => {
  expect(pageOf(placeOf({ page: "oldest" }), { items: items(1, 2), next: "k-2" }).older).toBeUndefined();
  expect(pageOf(placeOf({ before: "k-3" }), { items: items(2, 1), next: null }).older).toBeUndefined();
  expect(pageOf(placeOf({ after: "k-8" }), { items: items(9), next: null }).newer).toBeUndefined();
  expect(pageOf(placeOf({}), { items: [], next: null })).toEqual({ items: [], older: undefined, newer: undefined });
});

test("only one place is in an address", () => {
  expect(addressOf({ before: "k-3" })).toEqual({ before: "k-3", after: undefined, page: undefined });
  expect(addressOf({ at: "oldest" })).toEqual({ before: undefined, after: undefined, page: "oldest" });
});
