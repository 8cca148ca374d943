/** What is known of a run besides its tape: the requests to providers, what it used, what it was asked with. */

import type { Attempt, RunDetail } from "../api.ts";
import { count, duration, millis, moment } from "../format.ts";

const STATES: Record<string, string> = { done: "ok", running: "running", failed: "error", stopped: "stopped", interrupted: "interrupted" };

export function Attempts({ attempts }: { attempts: readonly Attempt[] }) {
  return (
    <section className="panel card" aria-labelledby="attempts-title">
      <header>
        <h2 id="attempts-title">Provider attempts</h2>
        <span className="quiet small number">{count(attempts.length)}</span>
      </header>
      {attempts.length === 0 ? (
        <p className="quiet nothing">Nothing was asked of a provider.</p>
      ) : (
        <ol className="attempts scrolling" tabIndex={0} aria-labelledby="attempts-title">
          {attempts.map((attempt, number) => (
            <li key={number}>
              <span className="badge" data-state={STATES[attempt.outcome] ?? attempt.outcome}>
                {attempt.outcome}
              </span>
              <span title={`${attempt.model} at ${attempt.provider}`}>
                {attempt.model} <span className="quiet">at {attempt.provider}</span>
              </span>
              <span className="quiet small number" title={moment(attempt.started_at * 1000)}>
                {[
                  attempt.first_token_ms != null && `first token after ${millis(attempt.first_token_ms)}`,
                  attempt.ended_at != null && `took ${duration(Math.max(0, attempt.ended_at - attempt.started_at))}`,
                ]
                  .filter(Boolean)
                  .join(", ")}
              </span>
              {attempt.error_code && <code data-hue="bad">{attempt.error_code}</code>}
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

/** Lines of an object that are shown. */
const MOST = 200;

const exact = new Intl.NumberFormat("en", { maximumFractionDigits: 12 });

/** A number of the server's is grouped; one of an application may be the number of something, and stays as it was given. */
function worded(value: unknown, isCounted: boolean): string {
  if (typeof value === "string") return value;
  return typeof value === "number" && isCounted ? exact.format(value) : JSON.stringify(value);
}

/** An object whose members nobody knows beforehand: those with a value, one line each. */
export function Members({ title, of, isCounted = true }: { title: string; of: Record<string, unknown> | null; isCounted?: boolean }) {
  const known = Object.entries(of ?? {}).filter(([, value]) => value != null && value !== "" && !(typeof value === "object" && Object.keys(value).length === 0));
  return (
    <section className="panel card" aria-label={title}>
      <header>
        <h2>{title}</h2>
      </header>
      {known.length === 0 ? (
        <p className="quiet nothing">None.</p>
      ) : (
        <dl className="members scrolling" tabIndex={0} aria-label={title}>
          {known.slice(0, MOST).map(([name, value]) => (
            <div key={name}>
              <dt className="quiet">{name}</dt>
              <dd className="number">{worded(value, isCounted)}</dd>
            </div>
          ))}
          {known.length > MOST && (
            <div>
              <dt className="quiet">…</dt>
              <dd className="quiet">and {count(known.length - MOST)} more</dd>
            </div>
          )}
        </dl>
      )}
    </section>
  );
}

/** The members that are no object of their own; those have a panel. */
export function asked({ metadata: _, ...rest }: RunDetail["request"]): Record<string, unknown> {
  return rest;
}
