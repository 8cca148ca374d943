/** The chats that were had on this device, the newest first. */

import { createStored } from "./stored.ts";

export interface RecentChat {
  readonly chat: string;
  readonly title: string;
  /** When something was last said in it, in milliseconds since the Unix epoch. */
  readonly at: number;
}

const MAX_RECENT = 30;
const MAX_TITLE = 80;

export const recent = createStored<readonly RecentChat[]>("tokentape.chats", (value) =>
  Array.isArray(value) ? distinct(value.filter(isRecent)).slice(0, MAX_RECENT) : [],
);

function isRecent(value: unknown): value is RecentChat {
  const { chat, title, at } = (value ?? {}) as Partial<RecentChat>;
  if (typeof chat !== "string" || typeof title !== "string" || typeof at !== "number") return false;
  // What cannot be an address, or a date, would fail the page each time that it is loaded.
  return chat.isWellFormed() && !Number.isNaN(new Date(at).valueOf());
}

function distinct(chats: readonly RecentChat[]): readonly RecentChat[] {
  return [...new Map(chats.toReversed().map((entry) => [entry.chat, entry])).values()].toReversed();
}

/** Notes that something was said; the first words of a chat are its title. */
export function remember(chat: string, words: string): void {
  const known = recent.get().find((entry) => entry.chat === chat);
  const title = known?.title ?? (words.trim().split("\n", 1)[0]!.slice(0, MAX_TITLE) || "Untitled");
  recent.set([{ chat, title, at: Date.now() }, ...recent.get().filter((entry) => entry.chat !== chat)].slice(0, MAX_RECENT));
}

export function forget(chat: string): void {
  recent.set(recent.get().filter((entry) => entry.chat !== chat));
}
