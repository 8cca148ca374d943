import { useMemo, useSyncExternalStore } from "react";
import { createRecording, type Recorded, type Recording } from "./recording.ts";
import type { Playhead } from "./playhead.ts";

export function useRecording(run: string): Recording {
  return useMemo(() => createRecording(run), [run]);
}

export const useRecorded = ({ recorded }: Recording): Recorded => useSyncExternalStore(recorded.subscribe, recorded.get);
export const usePlayhead = ({ head }: Recording): Playhead => useSyncExternalStore(head.subscribe, head.get);

/** How many events are before the playhead; changes with both. */
export function useCount(recording: Recording): number {
  useRecorded(recording);
  return useSyncExternalStore(recording.head.subscribe, recording.count);
}
