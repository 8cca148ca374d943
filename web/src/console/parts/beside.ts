import type { Line } from "./events.tsx";

/** The cursor of the event before or after the one at `cursor`, if both are in the list. */
export function beside(events: readonly Line[], cursor: string | undefined, by: 1 | -1): string | undefined {
  const place = cursor === undefined ? -1 : events.findIndex((event) => event.cursor === cursor);
  return place < 0 ? undefined : events[place + by]?.cursor;
}
