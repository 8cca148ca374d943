/** The runs, live and ended: found, sorted, and stopped. */

import { useMemo, useState } from "react";
import { admin, MOST, type RunRow } from "../api.ts";
import { count } from "../format.ts";
import { Failure } from "../parts/failure.tsx";
import { PauseButton, usePause } from "../parts/pause.tsx";
import { SearchField, soughtIn } from "../parts/search-field.tsx";
import { type Column, Table } from "../parts/table.tsx";
import { usePoll, useSettled } from "../poll.ts";
import { type Route, setQuery } from "../route.ts";
import { orderText, parseOrder, sorted, turned } from "../sorting.ts";
import { COLUMNS } from "./columns.tsx";
import { filtered, scopeOf, SCOPES, stoppable } from "./filter.ts";
import { StopDialog } from "./stop-dialog.tsx";

const NEWEST = { column: "began", down: true } as const;
const SORTABLE = COLUMNS.filter(({ value }) => value).map(({ key }) => key);
const key = ({ id }: RunRow): string => id;

export function Runs({ query }: { query: Route["query"] }) {
  const scope = scopeOf(query.state);
  const text = soughtIn(query);
  const asked = useSettled(text.trim(), 200);
  const { data, error, refresh } = usePoll(`${scope} ${asked}`, (signal) => admin.runs({ state: scope, q: asked || undefined }, signal), 1500);
  const { shown, paused, toggle, news } = usePause(data, `${scope} ${asked}`);
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [stopping, setStopping] = useState<readonly string[]>();

  const order = parseOrder(query.sort, SORTABLE, NEWEST);
  const column = COLUMNS.find((entry) => entry.key === order.column)!;
  const rows = useMemo(() => sorted(filtered(shown?.runs ?? [], scope, text), order.down, column.value!, key), [shown, scope, text, order.down, column]);
  const chosen = stoppable(rows, selected);

  function select(keys: readonly string[], isSelected: boolean): void {
    const next = new Set(selected);
    for (const name of keys) next[isSelected ? "add" : "delete"](name);
    setSelected(next);
  }

  const sortBy = ({ key: name, number = false }: Column<RunRow>): void => setQuery({ sort: orderText(turned(order, name, number)) });
  const isFiltered = scope !== "all" || text !== "";
  return (
    <>
      <header className="title">
        <h1>Runs</h1>
        <p className="quiet small number" role="status">
          {shown && (shown.total > MOST ? `the newest ${count(MOST)} of ${count(shown.total)}` : count(rows.length))}
        </p>
      </header>
      <div className="bar">
        <SearchField label="Filter by id, model, stream" value={text} onChange={(q) => setQuery({ q })} />
        <div className="segments" role="group" aria-label="State">
          {SCOPES.map((entry) => (
            <button key={entry.scope} type="button" aria-pressed={entry.scope === scope} onClick={() => setQuery({ state: entry.scope === "all" ? undefined : entry.scope })}>
              {entry.label}
            </button>
          ))}
        </div>
        <span className="grow" />
        <PauseButton paused={paused} toggle={toggle} news={news} />
        {/* Not `disabled`: after it was done the focus comes back to it, when nothing is selected any longer. */}
        <button type="button" className="danger" aria-disabled={chosen.length === 0} onClick={() => chosen.length > 0 && setStopping(chosen)}>
          {chosen.length ? `Stop ${count(chosen.length)}…` : "Stop…"}
        </button>
      </div>
      <Failure error={error} data={data} />
      <Table
        label="Runs"
        columns={COLUMNS}
        rows={rows}
        rowKey={key}
        order={order}
        onOrder={sortBy}
        selected={selected}
        onSelect={select}
        selectable={({ state }) => state !== "done"}
        empty={
          !shown ? (
            <p className="quiet">{error ? "Nothing was read." : "Loading…"}</p>
          ) : isFiltered ? (
            <>
              <p>No run is like this.</p>
              <button type="button" onClick={() => setQuery({ q: undefined, state: undefined })}>
                Show all
              </button>
            </>
          ) : (
            <>
              <p>There are no runs yet.</p>
              <p className="quiet">They appear here as soon as somebody asks for one, in the playground or over any protocol.</p>
            </>
          )
        }
      />
      {stopping && (
        <StopDialog
          ids={stopping}
          onClose={() => {
            setStopping(undefined);
            setSelected(new Set());
            refresh();
          }}
        />
      )}
    </>
  );
}
