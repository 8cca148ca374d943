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

/** `cursor` is where an item begins: of the one event that it is, or of the first one of a message. */
export function pageOf<T extends { cursor: string }>(place: Place, answer: { items: readonly T[]; next: string | null }): HistoryPage<T> {
  const { items, next } = answer;
  const isEnd = "at" in place;
  if (queryOf(place).order === "newest") {
    const newest = items[0];
    return {
      items: [...items].reverse(),
      older: next === null ? undefined : { before: next },
      newer: isEnd ? undefined : newest ? { after: newest.cursor } : { at: "oldest" },
    };
  }
  const oldest = items[0];
  return {
    items,
    older: isEnd ? undefined : oldest ? { before: oldest.cursor } : { at: "newest" },
    newer: next === null ? undefined : { after: next },
  };
}
