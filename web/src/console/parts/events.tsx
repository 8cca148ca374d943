/** Events as they are on a tape, one line each; only those in sight are there. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState, type ReactNode } from "react";
import { clock, count, hour, moment } from "../format.ts";
import { offsetOf } from "../run/tape.ts";

/** An event of a list, as the client or the history gives it. */
export interface Line {
  readonly type: string;
  readonly data?: unknown;
  readonly at?: number;
  readonly cursor?: string;
  readonly run?: string;
}

interface EventsProps {
  events: readonly Line[];
  /** So many of them have been played. */
  played?: number;
  /** Whether the list goes to what was played, or came, last; without it, there is nothing to follow. */
  moving?: boolean;
  /** Times are told from here on; without it, by the clock. */
  begin?: number;
  selected?: string | undefined;
  onSelect: (cursor: string) => void;
  empty?: ReactNode;
  actions?: ReactNode;
  title?: string;
}

const HEIGHT = 28;

export function Events({ events, played = events.length, moving, begin, selected, onSelect, empty = "No event yet.", actions, title = "Events" }: EventsProps) {
  const box = useRef<HTMLDivElement>(null);
  // Who looks at one event does not want the list to run away.
  const [follow, setFollow] = useState(selected === undefined);
  const chosen = useMemo(() => (selected === undefined ? -1 : events.findIndex(({ cursor }) => cursor === selected)), [events, events.length, selected]);
  const virtual = useVirtualizer({ count: events.length, getScrollElement: () => box.current, estimateSize: () => HEIGHT, overscan: 12 });

  useEffect(() => {
    if (moving && follow && played > 0) virtual.scrollToIndex(played - 1, { align: "auto" });
  }, [virtual, moving, follow, played]);

  useEffect(() => {
    if (chosen >= 0) virtual.scrollToIndex(chosen, { align: "auto" });
    // Once for each that is chosen: its place changes with every event that goes from the top of the list.
  }, [virtual, selected, chosen >= 0]);

  function select(cursor: string): void {
    setFollow(false);
    onSelect(cursor);
  }

  return (
    <section className="panel card" aria-labelledby="events-title">
      <header>
        <h2 id="events-title">{title}</h2>
        <span className="quiet small number">{count(events.length)}</span>
        <span className="grow" />
        {actions}
        {moving !== undefined && (
          <button type="button" aria-pressed={follow} onClick={() => setFollow(!follow)} title="Go where the newest, or the playhead, is">
            Follow
          </button>
        )}
      </header>
      <div
        ref={box}
        className="scrolling event-list"
        role="listbox"
        aria-label={title}
        aria-activedescendant={selected === undefined ? undefined : `event-${selected}`}
        tabIndex={0}
        // Whoever scrolls by himself, by whatever means, is not taken away from where he is.
        onWheel={({ deltaY }) => deltaY < 0 && setFollow(false)}
        onTouchMove={() => setFollow(false)}
        onPointerDown={({ currentTarget, nativeEvent }) => nativeEvent.target === currentTarget && nativeEvent.offsetX >= currentTarget.clientWidth && setFollow(false)}
        onKeyDown={(event) => {
          if (event.key === "PageUp" || event.key === "Home") setFollow(false);
          const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
          if (!by) return;
          event.preventDefault();
          const next = events[chosen < 0 ? (virtual.range?.startIndex ?? 0) : chosen + by];
          if (next?.cursor) select(next.cursor);
        }}
      >
        {events.length === 0 && <p className="quiet nothing">{empty}</p>}
        <div style={{ height: virtual.getTotalSize() }} role="presentation">
          {virtual.getVirtualItems().map(({ index, start, key }) => {
            const event = events[index]!;
            const { cursor } = event;
            return (
              <div
                key={key}
                id={cursor && `event-${cursor}`}
                role="option"
                aria-selected={cursor !== undefined && cursor === selected}
                aria-posinset={index + 1}
                aria-setsize={events.length}
                className="event"
                data-cursor={cursor}
                data-played={index < played}
                style={{ height: HEIGHT, transform: `translateY(${start}px)` }}
                onClick={() => cursor && select(cursor)}
              >
                <span className="number quiet end">{cursor ? offsetOf(event) : "–"}</span>
                <span className="number quiet end" title={event.at ? moment(event.at) : undefined}>{begin === undefined ? (event.at ? hour(event.at) : "") : clock((event.at ?? begin) - begin)}</span>
                <span className="kind" data-type={event.type.includes(":") ? "own" : event.type}>
                  {event.type}
                </span>
                <span className="data">{preview(event.data)}</span>
              </div>
            );
          })}
        </div>
      </div>
    </section>
  );
}

function preview(data: unknown): string {
  // Cut before it is worded: an event may be of a megabyte.
  const text = typeof data === "string" ? JSON.stringify(data.slice(0, 300)) : (JSON.stringify(data) ?? "");
  return text.slice(0, 300);
}
