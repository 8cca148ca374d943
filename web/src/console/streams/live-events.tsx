import { useMemo, useSyncExternalStore } from "react";
import { Events } from "../parts/events.tsx";
import { Inspector } from "../parts/inspector.tsx";
import { PauseButton, usePause } from "../parts/pause.tsx";
import { setQuery } from "../route.ts";
import { createTail } from "./tail.ts";

/** The newest events of a stream, as they come. */
export function LiveEvents({ name, selected }: { name: string; selected: string | undefined }) {
  const tail = useMemo(() => createTail(name), [name]);
  const now = useSyncExternalStore(tail.subscribe, tail.get);
  const { shown = now, paused, toggle, news } = usePause(now);

  function move(by: 1 | -1): void {
    const place = shown.events.findIndex(({ cursor }) => cursor === selected);
    const next = place < 0 ? undefined : shown.events[place + by];
    if (next?.cursor) setQuery({ event: next.cursor });
  }

  return (
    <>
      <Events
        title="Newest events"
        events={shown.events}
        moving={!paused}
        selected={selected}
        onSelect={(event) => setQuery({ event })}
        empty={{ loading: "Loading…", failed: now.error?.message, live: "No event yet.", closed: "It was closed without an event." }[shown.state]}
        actions={<PauseButton paused={paused} toggle={toggle} news={news} />}
      />
      {selected && <Inspector stream={name} cursor={selected} onMove={move} onClose={() => setQuery({ event: undefined })} />}
    </>
  );
}
