/** What the list of runs says of each. */

import type { RunRow } from "../api.ts";
import { briefly, count, duration, millis, moment, rate } from "../format.ts";
import type { Column } from "../parts/table.tsx";
import { routeTo } from "../route.ts";

/** `data-state` of a badge, and its word. */
export function stateOf({ state, reason }: Pick<RunRow, "state" | "reason">): string {
  return state === "done" ? (reason ?? "done") : state;
}

export const COLUMNS: readonly Column<RunRow>[] = [
  {
    key: "id",
    label: "Run",
    width: "minmax(150px, 1.5fr)",
    card: "head",
    value: ({ id }) => id,
    cell: ({ id, stream }) => (
      <>
        <a className="mono" href={routeTo(`runs/${id}`)} title={id}>
          {id}
        </a>
        {stream !== `runs/${id}` && (
          <span className="quiet small" title={`Speaks on ${stream}`}>
            {" "}
            on {stream}
          </span>
        )}
      </>
    ),
  },
  {
    key: "model",
    label: "Model",
    width: "minmax(90px, 1fr)",
    value: ({ model }) => model,
    cell: ({ model, provider }) => <span title={[model, provider].filter(Boolean).join(", by ")}>{model}</span>,
  },
  {
    key: "state",
    label: "State",
    width: "104px",
    value: stateOf,
    cell: (run) => (
      <span className="badge" data-state={stateOf(run)} title={run.error ? `${run.error.code}: ${run.error.message}` : undefined}>
        {stateOf(run)}
      </span>
    ),
  },
  {
    key: "began",
    label: "Began",
    width: "88px",
    number: true,
    card: "none",
    value: ({ created_at }) => created_at,
    cell: ({ created_at }) => <time title={moment(created_at * 1000)}>{briefly(created_at * 1000)}</time>,
  },
  {
    key: "age",
    label: "Age",
    width: "96px",
    number: true,
    value: ({ age }) => age,
    cell: ({ age, state }) => <span title={state === "done" ? "It took so long" : "It goes on"}>{duration(state === "done" ? age : Math.floor(age))}</span>,
  },
  { key: "tokens", label: "Tokens", width: "84px", number: true, value: ({ tokens }) => tokens, cell: ({ tokens }) => count(tokens) },
  { key: "rate", label: "Tokens/s", width: "88px", number: true, value: (run) => run.rate, cell: (run) => rate(run.rate) },
  { key: "ttft", label: "First token", width: "100px", number: true, value: ({ ttft_ms }) => ttft_ms, cell: ({ ttft_ms }) => millis(ttft_ms) },
  { key: "watchers", label: "Watchers", width: "88px", number: true, value: ({ watchers }) => watchers, cell: ({ watchers }) => count(watchers) },
  {
    key: "lag",
    label: "Worst lag",
    width: "92px",
    number: true,
    value: ({ lag }) => lag,
    cell: ({ lag }) => <span data-hue={lag > 0 ? "warn" : undefined}>{count(lag)}</span>,
  },
];
