/** The streams that are live in this process. */

import { useMemo } from "react";
import { admin, MOST, type StreamRow } from "../api.ts";
import { bytes, count, duration } from "../format.ts";
import { Failure } from "../parts/failure.tsx";
import { PauseButton, usePause } from "../parts/pause.tsx";
import { SearchField, soughtIn } from "../parts/search-field.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { usePoll, useSettled } from "../poll.ts";
import { type Route, routeTo, setQuery } from "../route.ts";
import { orderText, parseOrder, sorted, turned } from "../sorting.ts";

const key = ({ stream }: StreamRow): string => stream;

const COLUMNS: readonly Column<StreamRow>[] = [
  {
    key: "stream",
    label: "Stream",
    width: "minmax(200px, 2fr)",
    card: "head",
    value: key,
    cell: ({ stream }) => (
      <a className="mono" href={streamHref(stream)} title={stream}>
        {stream}
      </a>
    ),
  },
  { key: "kind", label: "Kind", width: "88px", value: ({ kind }) => kind, cell: ({ kind }) => kind },
  {
    key: "state",
    label: "State",
    width: "88px",
    value: ({ state }) => state,
    cell: ({ state }) => (
      <span className="badge" data-state={state === "open" ? "live" : undefined}>
        {state}
      </span>
    ),
  },
  { key: "head", label: "Head", width: "minmax(130px, 1fr)", cell: ({ head }) => <span className="mono number" title={head ?? "Not known yet"}>{head ?? "–"}</span> },
  { key: "events", label: "Events", width: "88px", number: true, value: ({ events }) => events, cell: ({ events }) => count(events) },
  { key: "watchers", label: "Watchers", width: "92px", number: true, value: ({ watchers }) => watchers, cell: ({ watchers }) => count(watchers) },
  { key: "lag", label: "Worst lag", width: "94px", number: true, value: ({ lag }) => lag, cell: ({ lag }) => <span data-hue={lag > 0 ? "warn" : undefined}>{count(lag)}</span> },
  { key: "present", label: "Present", width: "84px", number: true, value: ({ present }) => present, cell: ({ present }) => count(present) },
  { key: "ring", label: "In memory", width: "98px", number: true, card: "none", value: ({ ring_bytes }) => ring_bytes, cell: ({ ring_bytes }) => bytes(ring_bytes) },
  { key: "idle", label: "Idle", width: "98px", number: true, value: ({ idle }) => idle, cell: ({ idle }) => duration(idle === null ? null : Math.floor(idle)) },
];
const SORTABLE = COLUMNS.filter(({ value }) => value).map((column) => column.key);
const MOST_WATCHED = { column: "watchers", down: true } as const;

/** A run's stream is the run's page. */
export function streamHref(stream: string): string {
  return stream.startsWith("runs/") ? routeTo(`runs/${stream.slice(5)}`) : routeTo(`streams/${stream}`);
}

export function Streams({ query }: { query: Route["query"] }) {
  const text = soughtIn(query);
  const asked = useSettled(text.trim(), 200);
  const { data, error } = usePoll(asked, (signal) => admin.streams({ q: asked || undefined }, signal), 1500);
  const { shown, paused, toggle, news } = usePause(data, asked);
  const order = parseOrder(query.sort, SORTABLE, MOST_WATCHED);
  const column = COLUMNS.find((entry) => entry.key === order.column)!;
  const rows = useMemo(() => {
    const sought = text.trim().toLowerCase();
    return sorted((shown?.streams ?? []).filter(({ stream }) => stream.toLowerCase().includes(sought)), order.down, column.value!, key);
  }, [shown, text, order.down, column]);
  return (
    <>
      <header className="title">
        <h1>Streams</h1>
        <p className="quiet small number" role="status">
          {shown && (shown.total > MOST ? `the ${count(MOST)} most watched of ${count(shown.total)}` : `${count(rows.length)} live in this process`)}
        </p>
      </header>
      <div className="bar">
        <SearchField label="Filter by name" value={text} onChange={(q) => setQuery({ q })} />
        <span className="grow" />
        <PauseButton paused={paused} toggle={toggle} news={news} />
      </div>
      <Failure error={error} data={data} />
      <Table
        label="Streams"
        columns={COLUMNS}
        rows={rows}
        rowKey={key}
        order={order}
        onOrder={({ key: name, number = false }) => setQuery({ sort: orderText(turned(order, name, number)) })}
        empty={
          !shown ? (
            <p className="quiet">{error ? "Nothing was read." : "Loading…"}</p>
          ) : text ? (
            <>
              <p>No live stream is called like this.</p>
              <a className="button" href={streamHref(text.trim())}>
                Look for it in the store
              </a>
            </>
          ) : (
            <>
              <p>No stream is live in this process.</p>
              <p className="quiet">A stream is live while it is written or watched, and a moment longer. Older ones are opened by their name.</p>
            </>
          )
        }
      />
    </>
  );
}
