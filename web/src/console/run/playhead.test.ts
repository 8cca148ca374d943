import { expect, test } from "vitest";
import { AT_END, moved, passed, stepped, toggled } from "./playhead.ts";

const DURATION = 1000;

test("it plays from the beginning to the end, and stops there", () => {
  const begun = toggled(AT_END, DURATION, false);
  expect(begun).toEqual({ place: 0, playing: true, speed: 1 });
  expect(passed(begun, 300, DURATION).place).toBe(300);
  expect(passed({ ...begun, speed: 4 }, 200, DURATION).place).toBe(800);
  expect(passed(begun, 1000, DURATION)).toEqual(AT_END);
});

test("a pause keeps the place", () => {
  const paused = toggled({ place: 300, playing: true, speed: 4 }, DURATION, false);
  expect(paused).toEqual({ place: 300, playing: false, speed: 4 });
  expect(passed(paused, 500, DURATION)).toBe(paused);
  expect(toggled(paused, DURATION, false).playing).toBe(true);
});

test("what is live is held still first", () => {
  expect(toggled(AT_END, DURATION, true)).toEqual({ place: DURATION, playing: false, speed: 1 });
});

test("it goes where it is dragged, no further than the tape", () => {
  expect(moved(AT_END, 420, DURATION).place).toBe(420);
  expect(moved(AT_END, -5, DURATION).place).toBe(0);
  expect(moved({ ...AT_END, place: 10, playing: true }, 2000, DURATION)).toEqual(AT_END);
});

test("it steps from mark to mark", () => {
  const times = [0, 100, 900];
  expect(stepped({ ...AT_END, place: 100 }, times, true, DURATION).place).toBe(900);
  expect(stepped(AT_END, times, false, DURATION).place).toBe(900);
  expect(stepped({ ...AT_END, place: 950 }, times, true, DURATION).place).toBeNull();
});

test("an empty tape is not played", () => {
  expect(toggled(AT_END, 0, false)).toEqual({ place: 0, playing: false, speed: 1 });
});
