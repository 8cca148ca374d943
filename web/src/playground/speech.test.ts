import { describe, expect, it } from "vitest";
import { createSpeech, ending } from "./speech.ts";

describe("what is read out", () => {
  it("is whole sentences, each once", () => {
    const speech = createSpeech();
    expect(speech.next("Tides ", false)).toBe("");
    expect(speech.next("Tides come. And th", false)).toBe("Tides come.");
    expect(speech.next("Tides come. And then they", false)).toBe("");
    expect(speech.next("Tides come. And then they go", true)).toBe("And then they go");
    expect(speech.next("Tides come. And then they go", true)).toBe("");
  });

  it("is no marks and no code", () => {
    const speech = createSpeech();
    const text = "## Tides\n\n- **the** [sea](https://sea.example/)\n\n```js\nlet a = 1;\n```\n\n1. `one`\n";
    expect(speech.next(text, true)).toBe("Tides the sea (code) one");
  });

  it("is no code that comes line by line", () => {
    const speech = createSpeech();
    const text = "Like this:\n\n```js\nlet a = 1; // One. \nlet b = 2;\n```\n\nThat was it. ";
    const said: string[] = [];
    for (let length = 0; length <= text.length; length += 1) said.push(speech.next(text.slice(0, length), false));
    expect(said.filter(Boolean)).toEqual(["Like this:", "(code)", "That was it."]);
    const late = createSpeech();
    late.skip("```js\nlet a = 1;\n");
    expect(late.next("```js\nlet a = 1;\nlet b = 2;\n```\nThat. ", false)).toBe("That.");
  });

  it("begins anew when the answer does, and skips what was heard", () => {
    const speech = createSpeech();
    speech.skip("It was heard. ");
    expect(speech.next("It was heard. New. ", false)).toBe("New.");
    expect(speech.next("Anew. ", false)).toBe("Anew.");
  });

  it("is bounded", () => {
    const speech = createSpeech();
    const before = performance.now();
    expect(speech.next("[".repeat(1_000_000), true).length).toBeLessThan(300);
    expect(performance.now() - before).toBeLessThan(200);
  });

  it("ends with how it ended", () => {
    expect(ending({ id: null, role: "assistant", content: "", state: "stopped" })).toContain("stopped");
    expect(ending({ id: null, role: "assistant", content: "", state: "running" })).toBe("");
  });
});
