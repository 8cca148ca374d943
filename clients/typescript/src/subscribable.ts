/** A value that changes, in the shape that React's `useSyncExternalStore` takes. */
export interface Subscribable<T> {
  /** The value now: the same object until it changes. */
  get(): T;
  /** Calls the listener after each change; returns how to stop that. */
  subscribe(listener: () => void): () => void;
}

/** Listeners that are told in order; one that throws does not keep the others from being told. */
export interface Listeners<A extends unknown[]> {
  readonly size: number;
  add(listener: (...args: A) => void): () => void;
  tell(...args: A): void;
}

/** `first` is called before the first listener is there, `last` after the last one has left. */
export function createListeners<A extends unknown[]>(first?: () => void, last?: () => void): Listeners<A> {
  // Wrapped, so that one function can be added twice and each removed for itself.
  const listeners = new Set<{ listener: (...args: A) => void }>();
  return {
    get size() {
      return listeners.size;
    },
    add(listener) {
      const entry = { listener };
      if (listeners.size === 0) first?.();
      listeners.add(entry);
      return () => {
        if (listeners.delete(entry) && listeners.size === 0) last?.();
      };
    },
    tell(...args) {
      for (const { listener } of [...listeners]) guarded(listener, ...args);
    },
  };
}

/** Calls what the application gave. What it throws is the application's, and must not break the connection. */
export function guarded<A extends unknown[]>(call: ((...args: A) => void) | undefined, ...args: A): void {
  try {
    call?.(...args);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}
