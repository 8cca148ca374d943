/** A value that is kept on this device, the same in all tabs. What cannot be kept (storage is full, or forbidden) is kept for the tab. */

import type { Subscribable } from "tokentape";

export interface Stored<T> extends Subscribable<T> {
  set(value: T): void;
}

/** `read` makes sense of whatever is there: another version may have written it. */
export function createStored<T>(key: string, read: (value: unknown) => T): Stored<T> {
  const listeners = new Set<() => void>();
  let value = load();

  function load(): T {
    try {
      return read(JSON.parse(localStorage.getItem(key) ?? "null"));
    } catch {
      return read(null);
    }
  }

  const tell = (): void => listeners.forEach((listener) => listener());

  addEventListener("storage", (event) => {
    if (event.key !== key && event.key !== null) return;
    value = load();
    tell();
  });

  return {
    get: () => value,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    set(next) {
      value = next;
      try {
        localStorage.setItem(key, JSON.stringify(next));
      } catch {
        // It is there until the tab is closed.
      }
      tell();
    },
  };
}
