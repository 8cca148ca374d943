/** Parts of the client that an application downloads when it first needs them. */

import { unreachable } from "./errors.ts";

/** Loads something once; what failed is tried again the next time. */
export function later<T>(load: () => Promise<T>): () => Promise<T> {
  let loading: Promise<T> | undefined;
  return () =>
    (loading ??= load().catch((error: unknown) => {
      loading = undefined;
      throw unreachable("A part of the client cannot be loaded.", error);
    }));
}
