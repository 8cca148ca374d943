import { expect, test } from "vitest";
import { briefly, bytes, clock, count, duration, lately, millis, moment, rate, short } from "./format.ts";

test.each([
  [count(12345), "12,345"], [count(null), "–"], [rate(0), "0"], [rate(3.14159), "3.1"], [rate(1234.5), "1,235"],
  [short(999), "999"], [short(9999), "9,999"], [short(12_345), "12.3k"], [short(1_234_567), "1.23M"], [short(0), "0"], [short(999_999), "1M"], [short(999_400), "999k"],
  [bytes(0), "0 B"], [bytes(1536), "1.5 KiB"], [bytes(123 * 1_048_576), "123 MiB"],
  [millis(0.24), "0.2 ms"], [millis(45.6), "46 ms"], [millis(2001), "2.00 s"], [millis(12_345), "12.3 s"],
  [duration(4.25), "4.3 s"], [duration(4), "4 s"], [duration(0.045), "45 ms"], [duration(0), "0 s"], [duration(59.97), "1 m 00 s"], [duration(187), "3 m 07 s"], [duration(7500), "2 h 05 m"], [duration(529_200), "6 d 03 h"], [duration(null), "–"],
  [clock(0), "0:00.000"], [clock(83_250), "1:23.250"], [clock(59_999.9), "0:59.999"],
])("%s", (said, expected) => {
  expect(said).toBe(expected);
});

test("a moment of today is a time, another one a day", () => {
  const now = Date.UTC(2026, 10, 22, 12);
  expect(moment(now)).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
  expect(lately(now, now)).toBe(moment(now).slice(11));
  expect(lately(now - 40 * 86_400_000, now)).toHaveLength(16);
  expect(briefly(now, now)).toBe(lately(now, now));
  expect(briefly(now - 40 * 86_400_000, now)).toMatch(/^\d{4}-\d\d-\d\d$/);
});
