/** A value that changes, in the shape that React's `useSyncExternalStore` takes. */
export interface Subscribable<T> {
  /** The value now: the same object until it changes. */
  get(): T;
  /** Calls the listener after each change; returns how to stop that. */
  subscribe(listener: () => void): () => void;
}

/** Listeners that are told in order; one that throws does not keep the others from being told. */
export interface Listeners {
  add(listener: () => void): () => void;
  tell(): void;
}

/** `came` is called when a listener comes, `left` when it has left. */
export function createListeners(came?: () => void, left?: () => void): Listeners {
  // Wrapped, so that one function can be added twice and each removed for itself.
  const listeners = new Set<() => void>();
  return {
    add(listener) {
      const entry = (): void => listener();
      listeners.add(entry);
      came?.();
      return () => {
        if (listeners.delete(entry)) left?.();
      };
    },
    tell() {
      for (const listener of [...listeners]) guarded(listener);
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
