/** One event of a list, looked at closely, and the way to its neighbours. Which one it is stands in the address. */

import { useEffect, useRef, type KeyboardEvent } from "react";
import { admin } from "../api.ts";
import { usePoll } from "../poll.ts";
import { setQuery } from "../route.ts";
import { beside } from "./beside.ts";
import type { Line } from "./events.tsx";
import { InEveryWay } from "./in-every-way.tsx";

interface InspectorProps {
  stream: string;
  cursor: string;
  /** The list that it is in. */
  events: readonly Line[];
}

const select = (event: string | undefined): void => setQuery({ event });
const close = (): void => select(undefined);

export function Inspector({ stream, cursor, events }: InspectorProps) {
  const { data, error } = usePoll(`${stream} ${cursor}`, (signal) => admin.event(stream, cursor, signal), 0);
  const panel = useRef<HTMLElement>(null);

  useEffect(() => {
    const before = document.activeElement;
    panel.current?.focus();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);

  // From the list beside it as well, where the next event is chosen.
  useEffect(() => {
    const press = (event: globalThis.KeyboardEvent): void => {
      if (event.key === "Escape" && !document.querySelector("dialog[open]")) close();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);

  function press(event: KeyboardEvent): void {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key] as 1 | -1 | undefined;
    const next = by && event.target === event.currentTarget ? beside(events, cursor, by) : undefined;
    if (event.key === "Escape") close();
    else if (next) select(next);
    // The keys of the page are not for whoever is in here.
    event.stopPropagation();
  }

  return (
    <aside ref={panel} className="inspector card" role="dialog" aria-label="Event" tabIndex={-1} onKeyDown={press}>
      <header>
        <h2>Event</h2>
        <code className="number">{cursor}</code>
        <span className="grow" />
        <Neighbour name="Event before" sign="↑" cursor={beside(events, cursor, -1)} />
        <Neighbour name="Event after" sign="↓" cursor={beside(events, cursor, 1)} />
        <button type="button" className="quiet icon" aria-label="Close" title="Close (Escape)" onClick={close}>
          ×
        </button>
      </header>
      {error && data?.cursor !== cursor ? (
        <p className="notice" data-hue="bad" role="alert">
          {error.message}
        </p>
      ) : !data ? (
        <p className="quiet">Loading…</p>
      ) : (
        <InEveryWay event={data} />
      )}
    </aside>
  );
}

// Not `disabled`: whoever presses it until there is no further event would lose the focus.
function Neighbour({ name, sign, cursor }: { name: string; sign: string; cursor: string | undefined }) {
  return (
    <button type="button" className="quiet icon" aria-label={name} title={name} aria-disabled={cursor === undefined} onClick={() => cursor && select(cursor)}>
      {sign}
    </button>
  );
}
