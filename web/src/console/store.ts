/** A value that changes, in the shape that `useSyncExternalStore` takes. */

export interface Store<T> {
  get(): T;
  set(value: T): void;
  subscribe(listener: () => void): () => void;
}

/** `first` is called when somebody begins to listen, `last` when nobody does any longer. */
export function createStore<T>(value: T, first?: () => void, last?: () => void): Store<T> {
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set(next) {
      value = next;
      for (const listener of [...listeners]) listener();
    },
    subscribe(listener) {
      // Wrapped, so that one function can listen twice.
      const entry = (): void => listener();
      listeners.add(entry);
      if (listeners.size === 1) first?.();
      return () => {
        if (listeners.delete(entry) && listeners.size === 0) last?.();
      };
    },
  };
}
