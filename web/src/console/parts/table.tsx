/** A table of many rows, of which only those in sight are there; cards where the screen is narrow. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useSyncExternalStore, type ReactNode } from "react";
import type { Order } from "../sorting.ts";

export interface Column<T> {
  readonly key: string;
  readonly label: string;
  /** Of the grid: "1fr", "90px". */
  readonly width: string;
  readonly cell: (row: T) => ReactNode;
  /** Numbers stand at the end, and the largest are wanted first. */
  readonly number?: boolean;
  /** What it is sorted by; without it, it is not. */
  readonly value?: (row: T) => string | number | null | undefined;
  /** On a card: the whole first line, or not at all. */
  readonly card?: "head" | "none";
}

interface TableProps<T> {
  label: string;
  columns: readonly Column<T>[];
  rows: readonly T[];
  rowKey: (row: T) => string;
  order?: Order;
  onOrder?: (column: Column<T>) => void;
  selected?: ReadonlySet<string>;
  onSelect?: (keys: readonly string[], selected: boolean) => void;
  /** Which rows can be selected; all, without it. */
  selectable?: (row: T) => boolean;
  empty: ReactNode;
  /** Pixels of a row and of a card. */
  heights?: { row: number; card: number };
}

const NARROW = typeof matchMedia === "function" ? matchMedia("(max-width: 760px)") : undefined;

export function useNarrow(): boolean {
  return useSyncExternalStore(
    (listener) => {
      NARROW?.addEventListener("change", listener);
      return () => NARROW?.removeEventListener("change", listener);
    },
    () => NARROW?.matches ?? false,
  );
}

export function Table<T>({ label, columns, rows, rowKey, order, onOrder, selected, onSelect, selectable, empty, heights }: TableProps<T>) {
  const box = useRef<HTMLDivElement>(null);
  const narrow = useNarrow();
  const size = narrow ? (heights?.card ?? 118) : (heights?.row ?? 40);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => box.current,
    estimateSize: () => size,
    getItemKey: (place) => rowKey(rows[place]!),
    overscan: 8,
  });
  useEffect(() => virtual.measure(), [virtual, size]);
  const free = selectable ? rows.filter(selectable) : rows;
  const chosen = selected ? free.filter((row) => selected.has(rowKey(row))).length : 0;
  const grid = { gridTemplateColumns: `${onSelect ? "34px " : ""}${columns.map(({ width }) => width).join(" ")}` };
  return (
    <div ref={box} className="grid-table card" role="table" aria-label={label} aria-rowcount={rows.length + 1} aria-colcount={columns.length + (onSelect ? 1 : 0)} tabIndex={0}>
      <div role="rowgroup" className="heads">
        <div role="row" aria-rowindex={1} className="row head" style={narrow ? undefined : grid}>
          {onSelect && (
            <div role="columnheader" className="check">
              <input
                type="checkbox"
                aria-label="Select all that are shown"
                checked={chosen > 0 && chosen === free.length}
                disabled={free.length === 0}
                ref={(node) => {
                  if (node) node.indeterminate = chosen > 0 && chosen < free.length;
                }}
                onChange={(event) => onSelect(free.map(rowKey), event.currentTarget.checked)}
              />
            </div>
          )}
          {columns.map((column) => (
            <div
              key={column.key}
              role="columnheader"
              className={column.number ? "end" : undefined}
              aria-sort={order?.column === column.key ? (order.down ? "descending" : "ascending") : undefined}
            >
              {column.value && onOrder ? (
                <button type="button" className="sort" onClick={() => onOrder(column)}>
                  {column.label}
                  <span aria-hidden="true">{order?.column === column.key ? (order.down ? "↓" : "↑") : ""}</span>
                </button>
              ) : (
                column.label || <span className="visually-hidden">Actions</span>
              )}
            </div>
          ))}
        </div>
      </div>
      {rows.length === 0 ? (
        <div className="nothing">{empty}</div>
      ) : (
        <div role="rowgroup" className="rows" style={{ height: virtual.getTotalSize() }}>
          {virtual.getVirtualItems().map(({ index, start, key }) => {
            const row = rows[index]!;
            const name = rowKey(row);
            const isSelected = selected?.has(name) ?? false;
            return (
              <div
                key={key}
                role="row"
                aria-rowindex={index + 2}
                data-selected={isSelected}
                className="row"
                data-key={name}
                style={{ ...(narrow ? undefined : grid), height: size, transform: `translateY(${start}px)` }}
              >
                {onSelect && (
                  <div role="cell" className="check">
                    <input
                      type="checkbox"
                      aria-label={`Select ${name}`}
                      checked={isSelected}
                      disabled={selectable ? !selectable(row) : false}
                      onChange={(event) => onSelect([name], event.currentTarget.checked)}
                    />
                  </div>
                )}
                {columns.map((column) => (
                  <div key={column.key} role="cell" className={column.number ? "end number" : undefined} data-label={column.label} data-cell={column.key} data-card={column.card}>
                    {column.cell(row)}
                  </div>
                ))}
              </div>
            );
          })}
        </div>
      )}
    </div>
  );
}
