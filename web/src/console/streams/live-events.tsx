import { useMemo, useSyncExternalStore } from "react";
import { Events } from "../parts/events.tsx";
import { Failure } from "../parts/failure.tsx";
import { Inspector } from "../parts/inspector.tsx";
import { PauseButton, usePause } from "../parts/pause.tsx";
import { setQuery } from "../route.ts";
import { createTail } from "./tail.ts";

/** The newest events of a stream, as they come. */
export function LiveEvents({ name, selected }: { name: string; selected: string | undefined }) {
  const tail = useMemo(() => createTail(name), [name]);
  const now = useSyncExternalStore(tail.subscribe, tail.get);
  const { shown = now, paused, toggle, news } = usePause(now, name);

  return (
    <>
      <Failure error={now.error} data={now.events.length > 0 || undefined} />
      <Events
        title="Newest events"
        events={shown.events}
        moving={!paused}
        selected={selected}
        onSelect={(event) => setQuery({ event })}
        empty={{ loading: "Loading…", failed: "Nothing was read.", live: "No event yet.", closed: "It was closed without an event." }[shown.state]}
        actions={<PauseButton paused={paused} toggle={toggle} news={news} />}
      />
      {selected && <Inspector stream={name} cursor={selected} events={shown.events} />}
    </>
  );
}
