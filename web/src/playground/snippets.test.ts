import { expect, it } from "vitest";
import { SNIPPETS } from "./snippets.ts";

const [curl, python, typescript] = SNIPPETS.map(({ write }) => write);
const asked = {
  base: "http://127.0.0.1:8000/",
  request: { model: "simulated", messages: [{ role: "user", content: "It's $(x)\n" }], temperature: 0.5, parallel_tool_calls: true },
  hasKey: false,
};

it("quotes what people wrote", () => {
  expect(curl!(asked)).toContain(String.raw`It'\''s $(x)\n`);
  expect(curl!(asked)).toContain("Last-Event-ID");
  expect(python!(asked)).toContain(String.raw`"content": "It's $(x)\n"`);
  expect(python!(asked)).toContain('"parallel_tool_calls": True');
  expect(typescript!(asked)).toContain(String.raw`"content": "It's $(x)\n"`);
});

it("names the key, and never says it", () => {
  for (const write of [curl!, python!, typescript!]) {
    expect(write(asked)).not.toContain("TOKENTAPE_KEY");
    expect(write({ ...asked, hasKey: true })).toContain("TOKENTAPE_KEY");
  }
});
