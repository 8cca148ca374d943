/**
 * What is being written in place of messages, by their offsets. Kept beside the rows, which come and go as they are
 * scrolled: nobody loses what was typed by looking something up.
 */

import type { Message } from "tokentape";
import { textOf } from "./content.ts";

export interface Editing {
  of(message: Message): string | undefined;
  subscribe(listener: () => void): () => void;
  begin(message: Message): void;
  type(message: Message, text: string): void;
  end(message: Message): void;
  /** Whether a message's editor is to get the focus: once, when it is begun, and not when it comes back into sight. */
  takesFocus(message: Message): boolean;
}

export function createEditing(): Editing {
  const drafts = new Map<number, string>();
  const listeners = new Set<() => void>();
  let begun: number | undefined;

  function change(work: () => void): void {
    work();
    for (const listener of [...listeners]) listener();
  }

  return {
    of: ({ first }) => (first === undefined ? undefined : drafts.get(first)),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    begin({ first, content }) {
      if (first === undefined) return;
      begun = first;
      change(() => drafts.set(first, drafts.get(first) ?? textOf(content)));
    },
    type: ({ first }, text) => change(() => first !== undefined && drafts.set(first, text)),
    end: ({ first }) => change(() => first !== undefined && drafts.delete(first)),
    takesFocus({ first }) {
      const isBegun = begun === first;
      if (isBegun) begun = undefined;
      return isBegun;
    },
  };
}
