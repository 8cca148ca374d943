import { JoinMenu } from "./join-menu.tsx";
import { isOver } from "./watcher.ts";
import type { Shown, Watchers } from "./watchers.ts";
import { sentence, VERDICTS } from "./words.ts";
import "./head.css";

const SIGNS = { none: "·", "so-far": "=", equal: "✓", differs: "≠", "too-long": "…" } as const;

/** The verdict over all watchers, and what is done to all of them. */
export function Head({ watchers, shown: { watchers: all, verdict, error } }: { watchers: Watchers; shown: Shown }) {
  const live = all.filter((watcher) => !isOver(watcher.view()));
  const away = live.length > 0 && live.every((watcher) => watcher.view().state === "cut");
  const told = error ? `The tape cannot be read: ${error.message}` : sentence(verdict, all.length);
  return (
    <header className="panes-head">
      {/* Each change of the verdict is said, and not each event. */}
      <p className="visually-hidden" role="status">
        {!error && (verdict.kind === "so-far" || verdict.kind === "none") ? VERDICTS[verdict.kind] : told}
      </p>
      <div className="verdict" data-kind={verdict.kind} data-testid="verdict">
        <b className="verdict-badge">
          <span aria-hidden="true">{SIGNS[verdict.kind]}</span> {VERDICTS[verdict.kind]}
        </b>
        <span className="number">
          <span data-testid="sentence">{told}</span>
          {verdict.hash && (
            <code title="SHA-256 of the text, in each pane and on the tape" data-testid="hash">
              {verdict.hash.slice(0, 12)}
            </code>
          )}
        </span>
      </div>
      <div className="panes-actions">
        <JoinMenu watchers={watchers} all={all} />
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
