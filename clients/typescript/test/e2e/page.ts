/** A page for React in this process: happy-dom's document, and frames that are counted. */

import { Window } from "happy-dom";

const window = new Window();
let frames = 0;

// Before React is loaded, which looks for a document then. What goes over the network stays that of Node.js.
Object.assign(globalThis, {
  window,
  document: window.document,
  requestAnimationFrame: (call: () => void) =>
    setTimeout(() => {
      frames += 1;
      call();
    }, 16),
  cancelAnimationFrame: clearTimeout,
});

export const { createElement: h, memo, StrictMode, Profiler, useEffect } = await import("react");
export const { createRoot } = await import("react-dom/client");
export const { renderToString } = await import("react-dom/server");

export const framesShown = (): number => frames;

/** Puts something on the page; `text()` is what it shows. */
export function show(element: React.ReactNode): { text(): string; remove(): void } {
  const box = document.createElement("div");
  const root = createRoot(box);
  root.render(element);
  return { text: () => box.textContent, remove: () => root.unmount() };
}
