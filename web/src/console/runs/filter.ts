/** Which of the runs at hand a filter leaves. The server filters too; this is for what it has sent before. */

import type { RunRow, RunScope } from "../api.ts";

export const SCOPES: readonly { scope: RunScope; label: string }[] = [
  { scope: "all", label: "All" },
  { scope: "live", label: "Live" },
  { scope: "queued", label: "Queued" },
  { scope: "done", label: "Ended" },
];

export function scopeOf(text: string | undefined): RunScope {
  return SCOPES.find(({ scope }) => scope === text)?.scope ?? "all";
}

export function filtered(rows: readonly RunRow[], scope: RunScope, text: string): readonly RunRow[] {
  const sought = text.trim().toLowerCase();
  return rows.filter(
    (row) =>
      (scope === "all" || row.state === (scope === "live" ? "running" : scope)) &&
      (!sought || `${row.id}\n${row.stream}\n${row.model}\n${row.provider ?? ""}\n${row.reason ?? ""}`.toLowerCase().includes(sought)),
  );
}

/** What is selected and still there to be stopped. */
export function stoppable(rows: readonly RunRow[], selected: ReadonlySet<string>): string[] {
  return rows.filter((row) => selected.has(row.id) && row.state !== "done").map(({ id }) => id);
}
