/** The keyboard: what each key does, in one table, which the map on the screen shows as well. */

import { useEffect, useRef } from "react";

export const KEYS = [
  { keys: ["Enter"], does: "Send; in mid-answer, interrupt it" },
  { keys: ["Shift", "Enter"], does: "A new line" },
  { keys: ["Esc"], does: "Stop the answer" },
  { keys: ["↑"], does: "Edit your last message, when the field is empty" },
  { keys: ["/"], does: "Write" },
  { keys: ["Alt", "N"], does: "A new chat" },
  { keys: ["Alt", "R"], does: "Regenerate the last answer, or retry" },
  { keys: ["Alt", "↓"], does: "To the newest" },
  { keys: ["?"], does: "This map" },
] as const;

export interface KeyActions {
  stop: (() => void) | undefined;
  write: () => void;
  again: () => void;
  fresh: () => void;
  newest: () => void;
  map: () => void;
}

/** Keys that mean something wherever the focus is; letters alone only where nobody writes. */
export function useKeys(actions: KeyActions): void {
  const latest = useRef(actions);
  useEffect(() => {
    latest.current = actions;
  });
  useEffect(() => {
    const press = (event: KeyboardEvent): void => {
      if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey) return;
      const action = meant(event, latest.current);
      if (!action) return;
      event.preventDefault();
      action();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

function meant({ key, code, altKey, target }: KeyboardEvent, actions: KeyActions): (() => void) | undefined {
  // A dialog or a menu that is open has its own use for Escape.
  if (document.querySelector("dialog[open], :popover-open")) return undefined;
  if (key === "Escape") return actions.stop;
  if (altKey) return { KeyN: actions.fresh, KeyR: actions.again, ArrowDown: actions.newest }[code];
  if (target instanceof Element && target.closest("input, textarea, select, [contenteditable]")) return undefined;
  return { "/": actions.write, "?": actions.map }[key];
}
