import { type Shown, MAX_STREAMS, MAX_WATCHERS, type Watchers } from "./watchers.ts";
import { sentence, VERDICTS } from "./words.ts";

const ENTRANCES = [
  { transport: "sse", from: "start", label: "SSE, from the start" },
  { transport: "sse", from: "now", label: "SSE, from now" },
  { transport: "sse", from: "snapshot", label: "SSE, snapshot" },
  { transport: "ws", from: "start", label: "WebSocket, from the start" },
  { transport: "ws", from: "now", label: "WebSocket, from now" },
  { transport: "ws", from: "snapshot", label: "WebSocket, snapshot" },
] as const;

/** The id of the control that adds a watcher. */
export const JOIN = "panes-join";

const SIGNS = { none: "·", "so-far": "=", equal: "✓", differs: "≠" } as const;

/** The verdict over all watchers, and what is done to all of them. */
export function Head({ watchers, shown: { watchers: all, verdict, error } }: { watchers: Watchers; shown: Shown }) {
  const live = all.filter((watcher) => !["ended", "failed"].includes(watcher.view().state));
  const away = live.length > 0 && live.every((watcher) => watcher.view().state === "cut");
  const streams = all.filter(({ transport }) => transport === "sse").length;
  return (
    <header className="panes-head">
      {/* Each change of the verdict is said, and not each event. */}
      <p className="visually-hidden" role="status">
        {verdict.kind === "so-far" || verdict.kind === "none" ? VERDICTS[verdict.kind] : sentence(verdict, all.length)}
      </p>
      <div className="verdict" data-kind={verdict.kind} data-testid="verdict">
        <b className="verdict-badge">
          <span aria-hidden="true">{SIGNS[verdict.kind]}</span> {VERDICTS[verdict.kind]}
        </b>
        <span className="number">
          <span data-testid="sentence">
            {error ? `The tape cannot be read: ${error.message}` : sentence(verdict, all.length)}
          </span>
          {verdict.hash && (
            <code title="SHA-256 of the text, in each pane and on the tape" data-testid="hash">
              {verdict.hash.slice(0, 12)}
            </code>
          )}
        </span>
      </div>
      <div className="panes-actions">
        <select
          id={JOIN}
          aria-label="Add a watcher"
          value=""
          disabled={all.length >= MAX_WATCHERS}
          onChange={(event) => {
            const { transport, from } = ENTRANCES[Number(event.target.value)]!;
            watchers.add(transport, from);
          }}
        >
          <option value="" disabled>
            + Join late
          </option>
          {ENTRANCES.map(({ label, transport }, index) => (
            <option key={label} value={index} disabled={transport === "sse" && streams >= MAX_STREAMS}>
              {label}
            </option>
          ))}
        </select>
        <button
          type="button"
          disabled={live.length === 0}
          onClick={() => live.forEach((watcher) => (away ? watcher.restore() : watcher.cut(5)))}
        >
          {away ? "Join all" : "Cut all, 5 s"}
        </button>
      </div>
    </header>
  );
}
