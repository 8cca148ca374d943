/** At most one update of the screen for each frame, however many events come: a throttle, never a debounce. */

import { useCallback, useSyncExternalStore } from "react";
import type { Subscribable } from "../subscribable.ts";

/** A page that nobody looks at has no frames. */
function soon(call: () => void): () => void {
  if (document.hidden) {
    const timer = setTimeout(call, 250);
    return () => clearTimeout(timer);
  }
  const frame = requestAnimationFrame(call);
  return () => cancelAnimationFrame(frame);
}

/** The value of a store, read anew at most once per frame. */
export function useFrames<T>({ get, subscribe }: Subscribable<T>, server: () => T = get): T {
  const throttled = useCallback(
    (changed: () => void) => {
      let cancel: (() => void) | undefined;
      const leave = subscribe(() => {
        cancel ??= soon(() => {
          cancel = undefined;
          changed();
        });
      });
      return () => {
        cancel?.();
        leave();
      };
    },
    [subscribe],
  );
  return useSyncExternalStore(throttled, get, server);
}
