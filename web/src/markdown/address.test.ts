import { expect, it } from "vitest";
import { addressOf } from "./address.ts";

const BASE = "https://tape.example/under/";

it.each([
  ["docs", { kind: "here", href: "https://tape.example/under/docs" }],
  ["https://tape.example/x", { kind: "here", href: "https://tape.example/x" }],
  ["//evil.example/x", { kind: "away", href: "https://evil.example/x", host: "evil.example" }],
  ["https://tape.example@evil.example/", { kind: "away", href: "https://tape.example@evil.example/", host: "evil.example" }],
  ["http://tape.example/", { kind: "away", href: "http://tape.example/", host: "tape.example" }],
  ["javascript:alert(1)", { kind: "none" }],
  [" JaVaScRiPt:alert(1)", { kind: "none" }],
  ["java\tscript:alert(1)", { kind: "none" }],
  ["data:text/html,x", { kind: "none" }],
  ["blob:https://tape.example/1", { kind: "none" }],
  ["mailto:a@b.example", { kind: "none" }],
  ["http://[", { kind: "none" }],
])("%j", (href, expected) => {
  expect(addressOf(href, BASE)).toEqual(expected);
});
