/** The same answer, watched several times over networks that can be cut, and proven to be the same. */

import { useEffect, useState, useSyncExternalStore } from "react";
import { CrowdCard } from "./crowd-card.tsx";
import { Head } from "./head.tsx";
import { JoinMenu } from "./join-menu.tsx";
import { Pane } from "./pane.tsx";
import { Stories } from "./stories.tsx";
import { createWatchers, type Watchers } from "./watchers.ts";
import "./panes.css";

/** The watchers of a run; without one, what would be there. */
export function Panes({ run }: { run: string | undefined }) {
  const [watchers, setWatchers] = useState<Watchers>();
  useEffect(() => {
    if (run === undefined) return undefined;
    const made = createWatchers(run);
    setWatchers(made);
    return () => {
      made.close();
      setWatchers(undefined);
    };
  }, [run]);
  return (
    <section className="panes" aria-label="Watchers" data-testid="panes">
      {watchers ? <Watched key={watchers.run} watchers={watchers} /> : <Nothing />}
    </section>
  );
}

function Watched({ watchers }: { watchers: Watchers }) {
  const shown = useSyncExternalStore(watchers.subscribe, watchers.get);
  return (
    <>
      <Head watchers={watchers} shown={shown} />
      <div className="pane-strip" data-count={shown.watchers.length}>
        {shown.watchers.map((watcher) => (
          <Pane key={watcher.id} watcher={watcher} watchers={watchers} relation={shown.relations.get(watcher.id)} />
        ))}
      </div>
      <div className="panes-below">
        <Stories watchers={watchers} shown={shown} />
        <CrowdCard run={watchers.run} live={shown.live} />
      </div>
    </>
  );
}

const WAITING = [
  { hue: "sse", name: "SSE", text: "The next answer comes here over server-sent events, by a client of its own." },
  {
    hue: "ws",
    name: "WebSocket",
    text: "And here over a WebSocket. Cut one, slow it down, or join late: nothing is lost, and nothing comes twice.",
  },
] as const;

/** Where the panes will be, so that nothing moves when they come. */
function Nothing() {
  return (
    <>
      <header className="panes-head">
        <div className="verdict" data-kind="none">
          <b className="verdict-badge">Waiting</b>
          <span>Two watchers, and no answer yet.</span>
        </div>
        <div className="panes-actions">
          <JoinMenu watchers={undefined} all={[]} />
          <button type="button" disabled>
            Cut all, 5 s
          </button>
        </div>
      </header>
      <div className="pane-strip" data-count="2">
        {WAITING.map(({ hue, name, text }) => (
          <article key={hue} className="card pane" data-hue={hue} data-state="none" aria-label={`${name}, waiting`}>
            <header>
              <i className="pane-dot" aria-hidden="true" />
              <h3>{name}</h3>
            </header>
            <div className="pane-body">
              <p className="pane-text">{text}</p>
            </div>
          </article>
        ))}
      </div>
    </>
  );
}
