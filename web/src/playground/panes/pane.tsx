import { useEffect, useLayoutEffect, useRef, useSyncExternalStore } from "react";
import type { Relation } from "./equality.ts";
import { Faults } from "./faults.tsx";
import { JOIN } from "./head.tsx";
import { createPaneText } from "./pane-text.ts";
import type { Watcher } from "./watcher.ts";
import type { Watchers } from "./watchers.ts";
import { account, count, entrance, some, STATES, tally } from "./words.ts";

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
  const late = name.startsWith("Late");

  return (
    <article
      className="card pane"
      data-testid={`pane-${id}`}
      data-hue={late ? "late" : watcher.transport}
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
            watchers.remove(id);
            // Where another one can be had, since the button is gone.
            document.getElementById(JOIN)?.focus();
          }}
        >
          ✕
        </button>
      </header>
      <div className="pane-body">
        <Text watcher={watcher} watchers={watchers} />
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

function Text({ watcher, watchers }: PartProps) {
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
      const rest = until === undefined ? undefined : Math.max(0, until - performance.now());
      const time = rest === undefined ? "" : ` for ${(rest / 1000).toFixed(1)} s`;
      line.current!.textContent =
        (state === "cut" ? `No connection${time}` : "Trying again") + (behind > 0 ? ` · ${some(behind, "event")} behind` : "");
      if (rest !== undefined) bar.current!.style.scale = `${rest / Math.max(1, until! - began)} 1`;
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
  const inside = node.firstChild as Text | null;
  if (!inside) node.textContent = text;
  else if (inside.data !== text) inside.data = text;
}
