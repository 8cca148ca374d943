import { expect, test } from "vitest";
import { orderText, parseOrder, sorted, turned } from "./sorting.ts";

const rows = [
  { id: "b", n: 1 },
  { id: "a", n: 1 },
  { id: "d", n: null },
  { id: "c", n: 2 },
];
const ids = (down: boolean): string => sorted(rows, down, ({ n }) => n, ({ id }) => id).map(({ id }) => id).join("");

test("equal rows stand in a steady order, and what is unknown is last either way", () => {
  expect(ids(false)).toBe("abcd");
  expect(ids(true)).toBe("cabd");
});

test("an order is kept in an address", () => {
  const fallback = { column: "began", down: true };
  expect(parseOrder("-tokens", ["tokens"], fallback)).toEqual({ column: "tokens", down: true });
  expect(parseOrder("nothing", ["tokens"], fallback)).toBe(fallback);
  expect(parseOrder(undefined, ["tokens"], fallback)).toBe(fallback);
  expect(orderText(turned({ column: "tokens", down: true }, "tokens", true))).toBe("tokens");
  expect(orderText(turned(fallback, "tokens", true))).toBe("-tokens");
});
