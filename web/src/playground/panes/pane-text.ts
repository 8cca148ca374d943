/**
 * Puts a growing text on the screen, at a cost that does not grow with it: what is new is appended to the last text node,
 * and what is far above the tail is taken out.
 */

import type { Watcher } from "./watcher.ts";

/**
 * Characters of a block from which on the next line begins another one, since only the last block is laid out anew; without
 * lines, it is cut at so many. And on the screen: all of the text is kept for the comparison.
 */
const BLOCK = 400;
const LONGEST = 4_000;
const SHOWN = 12_000;
/** Pixels: who is this close to the end of the text wants to stay there. */
const NEAR_END = 24;

export interface PaneText {
  paint(): void;
  /** After all that is painted in this frame, since it has the browser lay them out. */
  settle(): void;
  close(): void;
}

export function createPaneText(scroller: HTMLElement, body: HTMLElement, watcher: Pick<Watcher, "ledger" | "stretches">): PaneText {
  const { ledger } = watcher;
  let painted = 0;
  let onScreen = 0;
  let begun = 0; // stretches that have been begun
  let resets = -1;
  let block: HTMLElement | undefined;
  let inBlock = 0;
  let node: Text | undefined;
  let following = true;
  let scrolledTo = 0;
  let moved = false;

  function clear(): void {
    body.replaceChildren();
    painted = begun = onScreen = 0;
    node = block = undefined;
    resets = ledger.resets;
  }

  /** A stretch that was missed is marked as such. */
  function start(missed: boolean, anew: boolean): void {
    if (anew || !block) {
      block = document.createElement("div");
      body.append(block);
      inBlock = 0;
    }
    node = document.createTextNode("");
    if (missed) {
      const mark = document.createElement("mark");
      mark.append(node);
      block.append(mark);
    } else block.append(node);
  }

  function append(text: string, missed: boolean): void {
    for (let at = 0; at < text.length; ) {
      const full = inBlock >= LONGEST || (inBlock >= BLOCK && node?.data.endsWith("\n"));
      if (!node || full) start(missed, Boolean(full));
      // Up to the end of the line where the block may end, if it is there.
      const line = text.indexOf("\n", at + Math.max(0, BLOCK - inBlock)) + 1;
      const piece = text.slice(at, Math.min(line || text.length, at + LONGEST));
      node!.appendData(piece);
      at += piece.length;
      inBlock += piece.length;
      onScreen += piece.length;
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
      node = block = undefined;
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
    moved = true;
  }

  function settle(): void {
    if (moved && following) {
      scroller.scrollTop = scroller.scrollHeight;
      scrolledTo = scroller.scrollTop;
    }
    moved = false;
  }

  // Only going up leaves the end: a narrower pane must not lose it.
  function scrolled(): void {
    const { scrollHeight, scrollTop, clientHeight } = scroller;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END) following = true;
    else if (scrollTop < scrolledTo) following = false;
  }

  scroller.addEventListener("scroll", scrolled, { passive: true });
  return { paint, settle, close: () => scroller.removeEventListener("scroll", scrolled) };
}
