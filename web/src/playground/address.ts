/** Which chat the page shows: the address says it, so that a reload, another tab and a link show the same. */

import type { Subscribable } from "tokentape";

const PREFIX = "#chat=";
const ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789";

/** The channel of a new chat. */
export function newChat(): string {
  const letters = Array.from(crypto.getRandomValues(new Uint8Array(10)), (byte) => ALPHABET[byte % ALPHABET.length]);
  return `chats/${letters.join("")}`;
}

/** The channel that an address names; undefined when it names none. */
export function chatIn(hash: string): string | undefined {
  if (!hash.startsWith(PREFIX)) return undefined;
  try {
    return decodeURIComponent(hash.slice(PREFIX.length)).trim() || undefined;
  } catch {
    return undefined;
  }
}

export const hashOf = (chat: string): string => PREFIX + encodeURIComponent(chat).replaceAll("%2F", "/");

/** The chat of this page. An address without one gets a new one, in place. */
export const currentChat: Subscribable<string> = {
  get() {
    const chat = chatIn(location.hash);
    if (chat !== undefined) return chat;
    const made = newChat();
    history.replaceState(null, "", hashOf(made));
    return made;
  },
  subscribe(listener) {
    addEventListener("hashchange", listener);
    return () => removeEventListener("hashchange", listener);
  },
};

export function openChat(chat: string): void {
  location.hash = hashOf(chat);
}
