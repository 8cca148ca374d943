/** What the last answers say of the server: there, gone since when, without its admin API, or in want of a key. */

import type { TokentapeError } from "tokentape";
import { createStore } from "./store.ts";

export interface Health {
  readonly state: "unknown" | "well" | "gone" | "off" | "key";
  /** When the first request failed, in milliseconds; while it is gone. */
  readonly since?: number;
  readonly error?: TokentapeError;
}

export interface HealthStore {
  get(): Health;
  subscribe(listener: () => void): () => void;
  heard(): void;
  failed(error: TokentapeError): void;
  /** Somebody wants it tried again: after a key, or a setting, was changed. */
  retry(): void;
}

export function createHealth(now: () => number = Date.now): HealthStore {
  const { get, set, subscribe } = createStore<Health>({ state: "unknown" });
  return {
    get,
    subscribe,
    heard: () => get().state !== "well" && set({ state: "well" }),
    failed(error) {
      const last = get();
      if ((error.code as string) === "admin_off") set({ state: "off", error });
      else if (error.code === "unauthorized" || error.code === "forbidden") set({ state: "key", error });
      else if (isGone(error)) set({ state: "gone", since: last.since ?? now(), error });
      // Any other refusal is about what was asked for: the server is there.
      else if (last.state === "unknown" || last.state === "gone") set({ state: "well" });
    },
    retry: () => set({ state: "unknown" }),
  };
}

/** Whether nobody answered, or somebody in its place. A server whose store is away is there, and says so. */
export function isGone({ code, status }: TokentapeError): boolean {
  return code === "unreachable" || code === "shutting_down" || (status >= 502 && !code.startsWith("store_"));
}

export const health = createHealth();
