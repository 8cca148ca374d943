/** Parts that are loaded when they are needed. */

import { expect, test } from "vitest";
import { later } from "../src/later.ts";

test("loaded once, and tried again when it failed", async () => {
  let tries = 0;
  const part = later(async () => {
    tries += 1;
    if (tries === 1) throw new TypeError("Failed to fetch dynamically imported module");
    return tries;
  });
  const [one, two] = [part(), part()];
  await expect(one).rejects.toMatchObject({ code: "unreachable", retryable: true, cause: { name: "TypeError" } });
  await expect(two).rejects.toMatchObject({ code: "unreachable" });
  expect(await Promise.all([part(), part()])).toEqual([2, 2]);
  expect(tries).toBe(2);
});
