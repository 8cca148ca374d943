/** Who watches a stream through this process: from where, how far; and how to cut one. */

import { useMemo, useState } from "react";
import { admin, MOST, type WatcherRow } from "../api.ts";
import { count, duration } from "../format.ts";
import { usePoll } from "../poll.ts";
import { sorted } from "../sorting.ts";
import { type Column, Table } from "./table.tsx";

const key = ({ id }: WatcherRow): string => id;

/** `run` leaves those who see one run of a channel, or all of it. */
export function Watchers({ stream, run }: { stream: string; run?: string }) {
  const { data, error, refresh } = usePoll(stream, (signal) => admin.watchers(stream, signal), 1500);
  const [said, setSaid] = useState("");
  // By when they came: what is polled must not jump.
  const rows = useMemo(() => sorted((data?.watchers ?? []).filter((row) => !run || row.run == null || row.run === run), false, ({ since }) => since, key), [data, run]);

  async function cut(id: string): Promise<void> {
    try {
      await admin.disconnect(id);
      setSaid(`${id} was disconnected; a client comes back by itself.`);
    } catch (failure) {
      setSaid((failure as Error).message);
    }
    refresh();
  }

  const columns: readonly Column<WatcherRow>[] = [
    { key: "transport", label: "Transport", width: "114px", cell: ({ transport }) => <span className="badge" data-hue={transport === "websocket" ? "ws" : "sse"}>{transport}</span> },
    { key: "format", label: "Format", width: "minmax(76px, 1.1fr)", cell: ({ format }) => <span title={format}>{format}</span> },
    { key: "address", label: "Address", width: "minmax(150px, 1.3fr)", cell: ({ address, id }) => <span className="mono" title={id}>{address ?? "–"}</span> },
    { key: "since", label: "For", width: "84px", number: true, cell: ({ age }) => duration(Math.floor(age)) },
    { key: "cursor", label: "Cursor", width: "minmax(110px, 1fr)", cell: ({ cursor }) => <span className="mono number" title={cursor}>{cursor}</span> },
    {
      key: "lag",
      label: "Lag",
      width: "64px",
      number: true,
      cell: ({ lag, paused }) => (
        <span data-hue={lag > 0 ? "warn" : undefined} title={paused ? "Its connection takes nothing at this moment" : undefined}>
          {count(lag)}
          {paused ? " ⏳" : ""}
        </span>
      ),
    },
    {
      key: "cut",
      label: "",
      width: "118px",
      number: true,
      cell: ({ id, transport }) =>
        transport === "process" ? null : (
          <button type="button" className="small danger" onClick={() => void cut(id)} aria-label={`Disconnect ${id}`}>
            Disconnect
          </button>
        ),
    },
  ];

  return (
    <section className="panel card" aria-labelledby="watchers-title">
      <header>
        <h2 id="watchers-title">Watchers</h2>
        <span className="quiet small number" title="With those of this page itself">
          {data && (data.total > MOST ? `the ${count(rows.length)} furthest behind of ${count(data.total)}` : count(rows.length))}
        </span>
        <span className="grow" />
        <span className="quiet small" role="status">
          {said}
        </span>
      </header>
      <Table
        label="Watchers"
        columns={columns}
        rows={rows}
        rowKey={key}
        empty={<p className="quiet">{data ? "Nobody watches it through this process." : (error?.message ?? "Loading…")}</p>}
        heights={{ row: 40, card: 184 }}
      />
    </section>
  );
}
