/** The same answer, watched several times over networks that can be cut, and proven to be the same. */

import { useEffect, useState, useSyncExternalStore } from "react";
import { CrowdCard } from "./crowd-card.tsx";
import { Head } from "./head.tsx";
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

function Nothing() {
  return (
    <div className="card pane-nothing">
      <h2>Two watchers wait here</h2>
      <p className="quiet">
        Ask something: the same answer then comes over server-sent events and over a WebSocket, each by a client of its own. Cut one,
        slow it down, or join late, and see that nothing is lost and nothing comes twice.
      </p>
    </div>
  );
}
