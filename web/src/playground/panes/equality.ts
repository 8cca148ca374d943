/** Whether what several watchers were given is the same, as far as each of them is; and where it is not. */

import { type Ledger, unmarked } from "./ledger.ts";

/**
 * `prefix`: each has the beginning of what the longest has. `whole`: each has all of the tape. `unknown`: it joined where
 * the others have no mark yet.
 */
export type Relation =
  | { kind: "unknown" }
  | { kind: "prefix"; upto: number }
  | { kind: "whole" }
  | { kind: "differs"; at: number; offset: number; lost: number };

/** How `ledger` stands to `whole`, which is the tape or a watcher that has more. */
export function relate(ledger: Ledger, whole: Ledger, isTape: boolean): Relation {
  const start = whole.lengthAt(ledger.base);
  if (start === undefined || ledger.full || whole.full) return { kind: "unknown" };
  const [mine, theirs] = aligned(ledger, whole, start);
  if (theirs.startsWith(mine)) {
    return isTape && whole.ended && mine.length === theirs.length ? { kind: "whole" } : { kind: "prefix", upto: ledger.offset };
  }
  // It may only be ahead: the tape is read once a second.
  if (mine.startsWith(theirs)) return { kind: "prefix", upto: whole.offset };
  const at = firstDifference(mine, theirs);
  return { kind: "differs", at, offset: whole.offsetAt(at + start), lost: lostOf(ledger, whole, start) };
}

function aligned(ledger: Ledger, whole: Ledger, start: number): [string, string] {
  if (start === 0) return [ledger.record, whole.record];
  return [unmarked(ledger.record), unmarked(whole.record.slice(start))];
}

/**
 * Events of the tape that the watcher was not given. Between two positions that both know, the tape's events must be found
 * one after the other in what the watcher has.
 */
function lostOf(ledger: Ledger, whole: Ledger, start: number): number {
  let lost = 0;
  let from = ledger.base;
  let [mineFrom, theirsFrom] = [0, start];
  for (let offset = ledger.base + 1; offset <= Math.min(ledger.offset, whole.offset); offset += 1) {
    const mineTo = ledger.lengthAt(offset);
    const theirsTo = whole.lengthAt(offset);
    if (mineTo === undefined || theirsTo === undefined) continue;
    const mine = unmarked(ledger.record.slice(mineFrom, mineTo));
    if (mine !== unmarked(whole.record.slice(theirsFrom, theirsTo))) lost += missing(mine, whole, from, offset);
    [from, mineFrom, theirsFrom] = [offset, mineTo, theirsTo];
  }
  return lost;
}

function missing(mine: string, whole: Ledger, from: number, upto: number): number {
  let lost = 0;
  let found = 0;
  for (let offset = from + 1; offset <= upto; offset += 1) {
    const begin = whole.lengthAt(offset - 1);
    const end = whole.lengthAt(offset);
    if (begin === undefined || end === undefined) continue;
    const said = unmarked(whole.record.slice(begin, end));
    if (mine.startsWith(said, found)) found += said.length;
    else lost += 1;
  }
  return lost;
}

export function firstDifference(left: string, right: string): number {
  let low = 0;
  let high = Math.min(left.length, right.length);
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (left.startsWith(right.slice(0, middle))) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** SHA-256 of a text; undefined where the page is on an insecure origin, which has no Web Crypto. */
export async function hashOf(text: string): Promise<string | undefined> {
  if (!globalThis.crypto.subtle) return undefined;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
