/** Pages of a history, both ways. Pure. */

import type { HistoryQuery } from "tokentape";

/** Where a page is, as it stands in an address: after or before a cursor, at the very beginning, or at the end. */
export type Place = { before: string } | { after: string } | { at: "oldest" } | { at: "newest" };

export const PAGE = 50;

export function placeOf(query: Readonly<Record<string, string>>): Place {
  if (query.before) return { before: query.before };
  if (query.after) return { after: query.after };
  return { at: query.page === "oldest" ? "oldest" : "newest" };
}

/** The same for an address: only one of them is there. */
export function addressOf(place: Place): Record<"before" | "after" | "page", string | undefined> {
  return {
    before: "before" in place ? place.before : undefined,
    after: "after" in place ? place.after : undefined,
    page: "at" in place && place.at === "oldest" ? "oldest" : undefined,
  };
}

export function queryOf(place: Place): HistoryQuery {
  if ("before" in place) return { before: place.before, order: "newest", limit: PAGE };
  if ("after" in place) return { after: place.after, order: "oldest", limit: PAGE };
  return { order: place.at, limit: PAGE };
}

export interface HistoryPage<T> {
  /** In the order in which they were recorded. */
  readonly items: readonly T[];
  /** Where the neighbours are; undefined at an end. */
  readonly older: Place | undefined;
  readonly newer: Place | undefined;
}

export function pageOf<T extends { cursor: string }>(place: Place, answer: { items: readonly T[]; next: string | null }): HistoryPage<T> {
  const isNewestFirst = queryOf(place).order === "newest";
  const items = isNewestFirst ? [...answer.items].reverse() : answer.items;
  const first = items[0]?.cursor ?? ("after" in place ? place.after : undefined);
  const last = items.at(-1)?.cursor ?? ("before" in place ? place.before : undefined);
  const hasOlder = isNewestFirst ? answer.next !== null : !("at" in place);
  const hasNewer = isNewestFirst ? !("at" in place) : answer.next !== null;
  return {
    items,
    older: hasOlder && first !== undefined ? { before: first } : undefined,
    newer: hasNewer && last !== undefined ? { after: last } : undefined,
  };
}
