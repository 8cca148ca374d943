import { useCallback, useSyncExternalStore } from "react";
import { notes } from "./client.ts";
import type { Note } from "./notes.ts";

/** What is noted of a run. */
export function useNote(run: string): Note | undefined {
  return useSyncExternalStore(notes.subscribe, useCallback(() => notes.of(run), [run]));
}
