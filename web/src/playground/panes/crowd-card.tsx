import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { client } from "../../app/server.ts";
import { type CrowdReport, type CrowdTransport, createCrowd, isThere, SIZES } from "./crowd.ts";
import { count } from "./words.ts";
import "./crowd-card.css";

/** A thousand more watchers of the same run, and what they measured. */
export function CrowdCard({ run, live }: { run: string; live: boolean }) {
  const crowd = useMemo(() => createCrowd(client, run), [run]);
  useEffect(() => crowd.leave, [crowd]);
  const { busy, report, error } = useSyncExternalStore(crowd.subscribe, crowd.get);
  const [size, setSize] = useState<number>(SIZES[2]);
  const [transport, setTransport] = useState<CrowdTransport>("sse");
  const here = isThere(report);
  return (
    <section className="card crowd" aria-label="Crowd" data-testid="crowd">
      <header>
        <h3>Crowd</h3>
        <span role="status">
          {report && (
            <span className="badge" data-state={BADGES[wordOf(report)]} data-testid="crowd-state">
              {wordOf(report)}
            </span>
          )}
        </span>
      </header>
      <div className="crowd-order">
        <select aria-label="Watchers in the crowd" value={size} disabled={here} onChange={(event) => setSize(Number(event.target.value))}>
          {SIZES.map((each) => (
            <option key={each} value={each}>{`${count(each)} watchers`}</option>
          ))}
        </select>
        <select
          aria-label="Transport of the crowd"
          value={transport}
          disabled={here}
          onChange={(event) => setTransport(event.target.value === "sse" ? "sse" : "websocket")}
        >
          <option value="sse">SSE</option>
          <option value="websocket">WebSocket</option>
        </select>
        {here ? (
          <button type="button" disabled={busy} onClick={crowd.end}>
            End it
          </button>
        ) : (
          <button type="button" disabled={busy || !live} onClick={() => crowd.start(size, transport)}>
            Let them come
          </button>
        )}
      </div>
      {error || report?.error ? (
        <p className="crowd-note" role="alert">
          {error?.message ?? report?.error}
        </p>
      ) : (
        <p className="crowd-note">
          {live || report
            ? "A process of the server's own opens that many sockets to it, and measures from recorded to arrived."
            : "The run has ended: a crowd comes to a live one."}
        </p>
      )}
      <Figures report={report} />
    </section>
  );
}

const BADGES = { Connecting: "connecting", Watching: "live", "All equal": "equal", Differs: "differs", Ended: "idle", Idle: "idle" } as const;

function wordOf({ state, equal }: CrowdReport): keyof typeof BADGES {
  if (state === "connecting") return "Connecting";
  if (state === "watching") return "Watching";
  if (state === "idle") return "Idle";
  return equal === null ? "Ended" : equal ? "All equal" : "Differs";
}

/** Always there, so that nothing moves when the figures come. */
function Figures({ report }: { report: CrowdReport | undefined }) {
  const { delay } = report ?? {};
  const figures: [string, string, boolean?][] = [
    ["Connected", report ? `${count(report.connected)} of ${count(report.watchers)}` : "–"],
    ["Received", report ? count(report.received) : "–"],
    ["Lost", report ? count(report.lost) : "–", (report?.lost ?? 0) > 0],
    ["Repeated", report ? count(report.repeated) : "–", (report?.repeated ?? 0) > 0],
    ["Delay p50", milliseconds(delay?.p50)],
    ["p90", milliseconds(delay?.p90)],
    ["p99", milliseconds(delay?.p99)],
    ["Longest", milliseconds(delay?.max)],
  ];
  return (
    <dl className="crowd-figures">
      {figures.map(([label, value, bad]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd className="number" data-bad={bad || undefined} data-testid={`crowd-${label.toLowerCase().replace(" ", "-")}`}>
            {value}
          </dd>
        </div>
      ))}
    </dl>
  );
}

function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return value < 10 ? `${value.toFixed(1)} ms` : `${count(Math.round(value))} ms`;
}
