/** Asks whether to stop these runs, and why; says then what became of each. */

import { useEffect, useRef, useState } from "react";
import { admin, type Stopped } from "../api.ts";
import { count } from "../format.ts";

/** What a run is told when nothing else is said. */
const REASON = "stopped from the console";

const OUTCOMES = [
  { key: "stopped", label: "stopped", state: "stopped" },
  { key: "ended", label: "had ended", state: "ok" },
  { key: "unknown", label: "unknown", state: "error" },
] as const;

export function StopDialog({ ids, onClose }: { ids: readonly string[]; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<Stopped>();
  const [error, setError] = useState<string>();
  useEffect(() => dialog.current?.showModal(), []);

  async function stop(reason: string): Promise<void> {
    setBusy(true);
    setError(undefined);
    try {
      setResult(await admin.stop(ids, reason.trim() || REASON));
    } catch (failure) {
      setError((failure as Error).message);
    }
    setBusy(false);
  }

  const what = ids.length === 1 ? "this run" : `${count(ids.length)} runs`;
  return (
    <dialog ref={dialog} aria-labelledby="stop-title" onClose={onClose}>
      {!result ? (
        <form
          onSubmit={(event) => {
            event.preventDefault();
            void stop(String(new FormData(event.currentTarget).get("reason")));
          }}
        >
          <h2 id="stop-title">Stop {what}?</h2>
          <p className="quiet">
            {ids.length === 1 ? <code>{ids[0]}</code> : null} What was generated is kept; whoever watches is told the reason.
          </p>
          <label>
            Reason
            <input name="reason" maxLength={200} placeholder={REASON} autoFocus autoComplete="off" />
          </label>
          {error && (
            <p role="alert" data-hue="bad" className="said">
              {error}
            </p>
          )}
          <div className="actions">
            <button type="button" onClick={() => dialog.current?.close()}>
              Keep going
            </button>
            <button type="submit" className="primary danger" disabled={busy}>
              {busy ? "Stopping…" : `Stop ${what}`}
            </button>
          </div>
        </form>
      ) : (
        <div className="outcome" role="status">
          <h2 id="stop-title">{summary(result)}</h2>
          <ul>
            {OUTCOMES.flatMap(({ key, label, state }) =>
              result[key].map((id) => (
                <li key={id}>
                  <code title={id}>{id}</code>
                  <span className="badge" data-state={state}>
                    {label}
                  </span>
                </li>
              )),
            )}
          </ul>
          <div className="actions">
            <button type="button" className="primary" autoFocus onClick={() => dialog.current?.close()}>
              Close
            </button>
          </div>
        </div>
      )}
    </dialog>
  );
}

function summary(result: Stopped): string {
  return OUTCOMES.filter(({ key }) => result[key].length > 0)
    .map(({ key, label }) => `${count(result[key].length)} ${label}`)
    .join(", ");
}
