import { expect, test } from "vitest";
import { createLines } from "./lines.ts";

test("it does not matter where the text is cut", () => {
  const text = 'data: {"at":1}\n\n: hb\n\ndata: {"at":2}\n\n';
  const whole = createLines()(text);
  const take = createLines();
  expect([...text].flatMap((letter) => take(letter))).toEqual(whole);
  expect(whole).toEqual(['{"at":1}', '{"at":2}']);
});

test("a line without an end is refused", () => {
  expect(() => createLines()("x".repeat(70_000))).toThrow("longer than");
});
