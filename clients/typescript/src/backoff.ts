/** When to try again: exponential backoff with full jitter, which spreads many clients evenly over the window. */

/** The window grows from `base` by `factor` with each attempt, up to `cap`. Times in milliseconds. */
export interface Backoff {
  base: number;
  cap: number;
  factor: number;
  /** What the server asks for is trusted up to here: a hostile or mistaken hint must not park anybody. */
  hintCap: number;
}

export const BACKOFF: Readonly<Backoff> = { base: 500, cap: 30_000, factor: 2, hintCap: 120_000 };

/**
 * Milliseconds to wait after failed attempt number `attempt`, counted from 0. `random` is drawn evenly from 0…1.
 * `hint` is what the server asked for: a floor, with the jitter on top, so that clients with one hint do not return as one.
 */
export function delay({ base, cap, factor, hintCap }: Backoff, attempt: number, random: number, hint = 0): number {
  return Math.max(0, Math.min(hint, hintCap)) + random * Math.min(cap, base * factor ** attempt);
}
