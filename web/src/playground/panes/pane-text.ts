/**
 * Puts a growing text on the screen, at a cost that does not grow with it: what is new is appended to the last text node,
 * and what is far above the tail is taken out.
 */

import type { Watcher } from "./watcher.ts";

/** Characters of one piece, and on the screen. All of it is kept for the comparison. */
const PIECE = 2_000;
const SHOWN = 24_000;
/** Pixels: who is this close to the end of the text wants to stay there. */
const NEAR_END = 24;

export interface PaneText {
  paint(): void;
  close(): void;
}

export function createPaneText(scroller: HTMLElement, body: HTMLElement, watcher: Pick<Watcher, "ledger" | "stretches">): PaneText {
  const { ledger } = watcher;
  let painted = 0;
  let onScreen = 0;
  let begun = 0; // stretches that have been begun
  let resets = -1;
  let node: Text | undefined;
  let following = true;
  let scrolledTo = 0;

  function clear(): void {
    body.replaceChildren();
    painted = begun = onScreen = 0;
    node = undefined;
    resets = ledger.resets;
  }

  /** A stretch that was missed is marked as such. */
  function start(missed: boolean): void {
    const span = document.createElement("span");
    if (missed) span.className = "missed";
    node = document.createTextNode("");
    span.append(node);
    body.append(span);
  }

  function append(text: string, missed: boolean): void {
    for (let at = 0; at < text.length; ) {
      if (!node || node.length >= PIECE) start(missed);
      const piece = text.slice(at, at + PIECE);
      node!.appendData(piece);
      onScreen += piece.length;
      at += piece.length;
    }
  }

  function trim(): void {
    if (onScreen <= 2 * SHOWN) return;
    while (onScreen > SHOWN && body.firstChild !== body.lastChild) {
      onScreen -= body.firstChild!.textContent!.length;
      body.firstChild!.remove();
    }
  }

  function paint(): void {
    if (ledger.resets !== resets) clear();
    const { text } = ledger;
    if (text.length === painted) return;
    // What would be taken out at once is not put in.
    if (text.length - painted > 2 * SHOWN) {
      body.replaceChildren();
      painted = text.length - SHOWN;
      onScreen = 0;
      node = undefined;
    }
    const all = watcher.stretches;
    for (let place = Math.max(0, begun - 1); place < all.length; place += 1) {
      const { from, missed } = all[place]!;
      const to = all[place + 1]?.from ?? text.length;
      if (place >= begun) {
        node = undefined;
        begun = place + 1;
      }
      if (to > painted) append(text.slice(Math.max(from, painted), to), missed);
      painted = Math.max(painted, to);
    }
    trim();
    if (following) {
      scroller.scrollTop = scroller.scrollHeight;
      scrolledTo = scroller.scrollTop;
    }
  }

  // Only going up leaves the end: a narrower pane must not lose it.
  function scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = scroller;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END) following = true;
    else if (scrollTop < scrolledTo) following = false;
  }

  scroller.addEventListener("scroll", scrolled, { passive: true });
  return { paint, close: () => scroller.removeEventListener("scroll", scrolled) };
}
