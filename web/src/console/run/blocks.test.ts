import { expect, test } from "vitest";
import { blocksOf } from "./blocks.ts";

test("joined they are the text, and what is before the last one stays", () => {
  const lines = Array.from({ length: 400 }, (_, line) => `line ${line}${line % 7 ? "" : "\n"}`);
  const text = lines.join("\n");
  const blocks = blocksOf(text);
  expect(blocks.join("")).toBe(text);
  expect(blocks.length).toBeGreaterThan(2);
  expect(blocks.slice(0, -1).every((block) => block.endsWith("\n"))).toBe(true);
  expect(blocksOf(`${text}\nmore`).slice(0, blocks.length - 1)).toEqual(blocks.slice(0, -1));
});

test("a text without lines is one part", () => {
  expect(blocksOf("x".repeat(5000))).toHaveLength(1);
  expect(blocksOf("")).toEqual([]);
});
