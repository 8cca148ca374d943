import { useMemo } from "react";
import { parseCursor } from "tokentape";
import type { StreamInfo } from "../api.ts";
import { count } from "../format.ts";
import { Events } from "../parts/events.tsx";
import { Inspector } from "../parts/inspector.tsx";
import { setQuery } from "../route.ts";

/** The newest that are listed. */
const SHOWN = 5000;

/** The records of a stream that is not one of events, as of the Durable Streams protocol: each is looked at by itself. */
export function Records({ stream, selected }: { stream: StreamInfo; selected: string | undefined }) {
  const { first, last, cursor } = stream;
  const epoch = parseCursor(cursor)?.epoch;
  const records = useMemo(() => {
    const from = Math.max(first, last - SHOWN + 1, 1);
    return Array.from({ length: Math.max(0, last - from + 1) }, (_, place) => ({ type: "record", cursor: `${epoch}-${from + place}` }));
  }, [first, last, epoch]);

  return (
    <>
      <Events title={records.length === SHOWN ? `The newest ${count(SHOWN)} records` : "Records"} events={records} moving selected={selected} onSelect={(event) => setQuery({ event })} empty="No record yet." />
      {selected && <Inspector stream={stream.name} cursor={selected} events={records} />}
    </>
  );
}
