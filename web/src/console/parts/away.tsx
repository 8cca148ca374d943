/** What is said when the server does not tell us anything: its admin API is off, a key is wanted, or it is gone. */

import { useEffect, useState, useSyncExternalStore } from "react";
import { duration } from "../format.ts";
import { health } from "../health.ts";

export function Away() {
  const { state, error, since } = useSyncExternalStore(health.subscribe, health.get);
  if (state === "off") return <Off detail={error?.message} />;
  if (state === "key") return <Key detail={error?.message} />;
  // In its place even while there is nothing to say, so that it is read out when there is.
  return (
    <div className="away" role="status" data-state={state}>
      {state === "gone" && since !== undefined && <Gone since={since} detail={error?.message} />}
    </div>
  );
}

function Gone({ since, detail }: { since: number; detail: string | undefined }) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <p className="notice" data-hue="warn" title={detail}>
      <strong>The server does not answer</strong>, for{" "}
      <span className="number" aria-live="off">
        {duration(Math.max(0, Math.round((now - since) / 1000)))}
      </span>
      . What is shown is from before; this page goes on by itself when it is back.
    </p>
  );
}

function Off({ detail }: { detail: string | undefined }) {
  return (
    <section className="empty card" role="alert">
      <h1>The admin API is off</h1>
      <p>
        The console reads it. It is on by itself where a server listens on this machine alone; elsewhere whoever may use it
        sees all runs, and may stop them, so it has to be turned on.
      </p>
      <pre className="snippet">{'[admin]\nenabled = "on"   # or TOKENTAPE_ADMIN_ENABLED=on'}</pre>
      {detail && <p className="quiet">The server says: {detail}</p>}
      <button type="button" onClick={health.retry}>
        Look again
      </button>
    </section>
  );
}

function Key({ detail }: { detail: string | undefined }) {
  return (
    <section className="empty card" role="alert">
      <h1>This server wants a key</h1>
      <p>
        One of its API keys (<code>auth.api_keys</code>). It is kept until this tab is closed.
      </p>
      {detail && <p className="quiet">The server says: {detail}</p>}
      <button type="button" className="primary" onClick={health.retry}>
        Enter a key
      </button>
    </section>
  );
}
