import { expect, test } from "vitest";
import { withResumes } from "./marks.ts";

const marks = [{ kind: "start", label: "", time: 0 }, { kind: "end", label: "", time: 24_000 }] as const;
const tape = { marks: [...marks], begin: 1_000_000, duration: 24_000 };
const resume = (ms: number) => ({ at: (1_000_000 + ms) / 1000, offset: 1, kind: "resume", label: "a watcher came back" });

test("who came back has a mark in its place, and those who came together have one", () => {
  const shown = withResumes(tape, [resume(500), resume(9_000), resume(9_040), resume(9_090)]);
  expect(shown.map(({ kind, time, times }) => [kind, time, times])).toEqual([
    ["start", 0, undefined],
    ["resume", 500, undefined],
    ["resume", 9_000, 3],
    ["end", 24_000, undefined],
  ]);
  expect(shown[2]!.label).toBe("3 watchers came back");
});

test("who came before it began or after it ended has none", () => {
  expect(withResumes(tape, [resume(-1), resume(24_001)])).toEqual(marks);
});
