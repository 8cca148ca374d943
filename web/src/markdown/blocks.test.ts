import { describe, expect, it } from "vitest";
import { createBlocks, type Block } from "./blocks.ts";
import { ANSWER, HOSTILE } from "./samples.ts";

const still = (): number => 0;

function told(block: Block): string {
  if (block.kind === "markdown") return `${block.token.type} ${JSON.stringify(block.token, (key, value: unknown) => (key === "raw" ? undefined : value))}`;
  return `${block.kind} ${block.kind === "code" ? block.language : ""} ${block.text}`;
}

const kindOf = (block: Block): string => (block.kind === "markdown" ? block.token.type : block.kind);

/** What is shown after each step. */
function* steps(text: string, size: number): Generator<readonly Block[]> {
  const reader = createBlocks(still);
  for (let end = size; end < text.length; end += size) yield reader.update(text.slice(0, end), false).blocks;
  yield reader.update(text, true).blocks;
}

describe("Markdown that grows", () => {
  const whole = [...steps(ANSWER, ANSWER.length)].at(-1)!.map(told);

  it("knows all kinds", () => {
    const kinds = [...steps(ANSWER, ANSWER.length)].at(-1)!.map(kindOf);
    expect(kinds).toEqual([
      "heading", "paragraph", "list", "list", "blockquote", "table", "paragraph", "code", "code", "heading", "hr", "html", "paragraph", "list", "paragraph",
    ]);
  });

  it.each([1, 2, 3, 7, 50, 400])("is the same in the end, in steps of %i", (size) => {
    const last = [...steps(ANSWER, size)].at(-1)!;
    expect(last.map(told)).toEqual(whole);
  });

  it.each([1, 3])("keeps what is finished, in steps of %i", (size) => {
    const reader = createBlocks(still);
    let before: readonly Block[] = [];
    let finished = 0;
    for (let end = size; end < ANSWER.length; end += size) {
      const now = reader.update(ANSWER.slice(0, end), false);
      expect(now.finished).toBeGreaterThanOrEqual(finished);
      expect(now.blocks.slice(0, finished)).toEqual(before.slice(0, finished));
      for (let place = 0; place < finished; place += 1) expect(now.blocks[place]).toBe(before[place]);
      [before, finished] = [now.blocks, now.finished];
    }
    expect(finished).toBeGreaterThan(10);
  });

  // A heading that is underlined cannot be known before the line; everything else stays what it was at first.
  it("does not flicker: a block stays what it was, and none goes away", () => {
    let before: string[] = [];
    const text = ANSWER.replace("Setext\n======\n\n", "");
    for (const blocks of steps(text, 1)) {
      const kinds = blocks.map(kindOf);
      expect(kinds.slice(0, before.length), `after ${JSON.stringify(before)}`).toEqual(before);
      before = kinds;
    }
  });

  it("shows what is not closed yet as what it will be", () => {
    const reader = createBlocks(still);
    const shown = (text: string): string => told(reader.update(text, false).blocks.at(-1)!);
    expect(shown("The **sea")).toContain('"strong"');
    expect(shown("a `code")).toContain('"codespan"');
    expect(shown("| a | b")).toMatch(/^table/);
    expect(shown("see [the words](https://exam")).not.toContain("exam");
    expect(shown("```js\nlet a\n``")).toBe("code js let a");
    expect(reader.update("-", false).blocks).toEqual([]);
    expect(reader.update("-", true).blocks.map(kindOf)).toEqual(["list"]);
  });

  it("begins anew with another text", () => {
    const reader = createBlocks(still);
    reader.update("# One\n\ntwo\n\nthree", false);
    expect(reader.update("Else", false).blocks.map(kindOf)).toEqual(["paragraph"]);
    expect(reader.update("", false).blocks).toEqual([]);
  });

  it("reads only the tail", () => {
    const reader = createBlocks(still);
    const text = Array.from({ length: 400 }, (_, line) => `Paragraph ${line} with **bold** words.`).join("\n\n");
    let { blocks } = reader.update(text, false);
    const before = blocks;
    ({ blocks } = reader.update(`${text} More`, false));
    expect(blocks.slice(0, -1).every((block, place) => block === before[place])).toBe(true);
    expect(blocks).toHaveLength(400);
  });

  it.each([
    ["list", Array.from({ length: 600 }, (_, line) => `- item ${line} with words`).join("\n")],
    ["numbered list", Array.from({ length: 600 }, (_, line) => `${line + 1}. item ${line} with words`).join("\n\n")],
    ["table", `| a | b |\n|---|---|\n${Array.from({ length: 900 }, (_, line) => `| cell ${line} | words |`).join("\n")}`],
    ["code", `\`\`\`\n${"let a = 1;\n".repeat(5_000)}`],
    ["paragraph", "words ".repeat(8_000)],
  ])("loses nothing of a long %s", (_, text) => {
    for (const size of [997, text.length]) {
      const blocks = [...steps(text, size)].at(-1)!;
      const shown = blocks.map(told).join(" ");
      const missing = (text.match(/(?<=cell |item )\d+/g) ?? []).filter((word) => !shown.includes(word));
      expect(missing).toEqual([]);
      expect(blocks.every(({ kind }) => kind !== "plain") || text.startsWith("words")).toBe(true);
    }
  });

  it.each(["name", "constructor", "__proto__"])("finds a link by the name %s after its block is finished", (name) => {
    const text = `[${name}]: https://example.org/\n\nA word.\n\nThe [link][${name}] is there.\n\nAnother word.`;
    // Without the end, at which all of it is read again.
    const reader = createBlocks(still);
    let shown = "";
    for (let end = 1; end <= text.length; end += 1) shown = reader.update(text.slice(0, end), false).blocks.map(told).join(" ");
    expect(shown).toContain('"href":"https://example.org/"');
  });

  it.each(HOSTILE)("takes no longer than a frame for a megabyte of %j", (piece) => {
    const text = piece.repeat(1_000_000 / piece.length);
    const reader = createBlocks();
    let longest = 0;
    for (let pending = true; pending; ) {
      const before = performance.now();
      ({ pending } = reader.update(text, false));
      longest = Math.max(longest, performance.now() - before);
    }
    expect(longest).toBeLessThan(400);
  });
});
