import { useEffect, useLayoutEffect, useRef, useSyncExternalStore } from "react";
import { flushSync } from "react-dom";
import type { Relation } from "./equality.ts";
import { Faults } from "./faults.tsx";
import { JOIN } from "./join-menu.tsx";
import { createPaneText } from "./pane-text.ts";
import { hueOf, type Watcher } from "./watcher.ts";
import type { Watchers } from "./watchers.ts";
import { account, count, entrance, some, STATES, tally } from "./words.ts";
import "./pane.css";

interface PaneProps {
  watcher: Watcher;
  watchers: Watchers;
  relation: Relation | undefined;
}

/**
 * One watcher. React paints what seldom changes; the text and the numbers that change with every token are written to their
 * nodes, once per frame.
 */
export function Pane({ watcher, watchers, relation }: PaneProps) {
  const { id, name, ledger } = watcher;
  const view = useSyncExternalStore(watchers.subscribe, watcher.view);
  const gap = view.gaps.at(-1);
  const away = view.state === "cut" || view.state === "waiting";

  return (
    <article
      className="card pane"
      data-testid={`pane-${id}`}
      data-hue={hueOf(watcher)}
      data-state={view.state}
      data-relation={relation?.kind ?? "unknown"}
      aria-labelledby={`${id}-name`}
    >
      <header>
        <i className="pane-dot" aria-hidden="true" />
        <h3 id={`${id}-name`}>{name}</h3>
        <small className="quiet">{entrance(watcher)}</small>
        <span className="badge" data-state={BADGES[view.state]} data-testid="state">
          {STATES[view.state]}
        </span>
        <button
          type="button"
          className="quiet icon"
          aria-label={`Remove ${name}`}
          title="Remove"
          onClick={() => {
            // The button is gone with its pane: on to where another one can be had, which may have been disabled.
            flushSync(() => watchers.remove(id));
            document.getElementById(JOIN)?.focus();
          }}
        >
          ✕
        </button>
      </header>
      <div className="pane-body">
        <AnswerText watcher={watcher} watchers={watchers} />
        {away && <Away watcher={watcher} watchers={watchers} />}
      </div>
      <Numbers watcher={watcher} watchers={watchers} resumed={view.resumed} />
      <p className="pane-account" data-testid="account">
        {view.error ? `${view.error.code}: ${view.error.message}` : gap ? account(gap) : "Not cut so far."}{" "}
        <b data-testid="tally" data-bad={relation?.kind === "differs" || ledger.repeated > 0 || undefined}>
          {tally(ledger.repeated, relation)}
        </b>
      </p>
      <Faults watcher={watcher} view={view} />
    </article>
  );
}

const BADGES = { connecting: "connecting", live: "live", cut: "cut", waiting: "waiting", ended: "ok", failed: "error" } as const;

interface PartProps {
  watcher: Watcher;
  watchers: Watchers;
}

function AnswerText({ watcher, watchers }: PartProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const text = createPaneText(scroller.current!, body.current!, watcher);
    const forget = watchers.onFrame(text.paint, text.settle);
    return () => {
      forget();
      text.close();
      body.current?.replaceChildren();
    };
  }, [watcher, watchers]);
  return (
    <div className="pane-text" ref={scroller} role="region" aria-label={`Answer, ${watcher.name}`} tabIndex={0}>
      <div ref={body} data-testid="text" />
    </div>
  );
}

/** What is shown while there is no connection: for how long yet, and how far the others are. */
function Away({ watcher, watchers }: PartProps) {
  const line = useRef<HTMLSpanElement>(null);
  const bar = useRef<HTMLElement>(null);
  const { until, state } = useSyncExternalStore(watchers.subscribe, watcher.view);
  useLayoutEffect(() => {
    const began = performance.now();
    const paint = (): void => {
      const behind = watchers.head() - watcher.ledger.offset;
      const rest = Math.max(0, (until ?? 0) - performance.now());
      const time = until === undefined ? "" : ` for ${(rest / 1000).toFixed(1)} s`;
      line.current!.textContent =
        (state === "cut" ? `No connection${time}` : "Trying again") + (behind > 0 ? ` · ${some(behind, "event")} behind` : "");
      if (until !== undefined) bar.current!.style.scale = `${rest / Math.max(1, until - began)} 1`;
    };
    paint();
    const timer = setInterval(paint, 100);
    return () => clearInterval(timer);
  }, [until, state, watcher, watchers]);
  return (
    <div className="pane-away" data-testid="away">
      <span ref={line} className="number" />
      <i ref={bar} aria-hidden="true" hidden={until === undefined} />
    </div>
  );
}

function Numbers({ watcher, watchers, resumed }: PartProps & { resumed: number }) {
  const cursor = useRef<HTMLElement>(null);
  const received = useRef<HTMLElement>(null);
  const track = useRef<HTMLElement>(null);
  useEffect(() => {
    const { ledger } = watcher;
    return watchers.onFrame(() => {
      write(cursor.current!, ledger.cursor || "none yet");
      const stood = ledger.offset - ledger.base;
      write(received.current!, stood === ledger.received ? count(stood) : `${count(stood)} as ${count(ledger.received)}`);
      track.current!.style.scale = `${Math.min(1, ledger.offset / Math.max(1, watchers.head()))} 1`;
    });
  }, [watcher, watchers]);
  return (
    <>
      <div className="pane-track" aria-hidden="true">
        <i ref={track} />
      </div>
      <dl className="pane-numbers">
        <div>
          <dt>Cursor</dt>
          <dd ref={cursor} className="mono" data-testid="cursor" />
        </div>
        <div>
          <dt>Events</dt>
          <dd ref={received} className="number" data-testid="received" />
        </div>
        <div>
          <dt>Resumed</dt>
          <dd className="number" data-testid="resumed">{`${count(resumed)}×`}</dd>
        </div>
      </dl>
    </>
  );
}

function write(node: HTMLElement, text: string): void {
  const inside = node.firstChild;
  if (!(inside instanceof Text)) node.textContent = text;
  else if (inside.data !== text) inside.data = text;
}
