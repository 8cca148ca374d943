/** How the server is: what it is, what it does at this moment, and the last minutes. */

import { useState, useSyncExternalStore, type ReactNode } from "react";
import { admin, type Overview as Values } from "../api.ts";
import { bytes, count, duration, moment, rate, short } from "../format.ts";
import { live } from "../live.ts";
import { Failure } from "../parts/failure.tsx";
import { usePoll } from "../poll.ts";
import { routeTo } from "../route.ts";
import { Chart } from "./chart.tsx";
import { CHARTS } from "./charts.ts";

const SPANS = [60, 300, 600] as const;

export function Overview() {
  const { data, error } = usePoll("overview", admin.overview, 2000);
  const { samples, flowing } = useSyncExternalStore(live.subscribe, live.get);
  const [span, setSpan] = useState<number>(SPANS[1]);
  // One way or the other: the server gives live samples to a number of pages only.
  const newest = samples.at(-1);
  const latest = newest && !(data && data.sample.at > newest.at) ? newest : data?.sample;
  return (
    <>
      <header className="title">
        <h1>Overview</h1>
        {data && (
          <p className="quiet small facts">
            <span>tokentape {data.version}</span>
            <span>
              up <span className="number">{duration(Math.floor(data.uptime))}</span>
            </span>
            <span className="mono" title={`Process ${data.pid}, Python ${data.python}, since ${moment(data.started_at * 1000)}`}>
              {data.instance}
            </span>
            <span className="mono long" title={data.store.url}>
              {data.store.url}
            </span>
          </p>
        )}
      </header>
      <Failure error={error} data={data} />
      <dl className="tiles" aria-busy={!data}>
        <Tile name="Tokens per second" value={rate(latest?.tokens)} note={data && `${short(data.totals.tokens)} since it started`} />
        <Tile
          name="Live runs"
          value={count(data?.runs.live)}
          href={routeTo("runs", { state: "live" })}
          note={data && `${count(data.runs.queued)} queued, ${short(data.totals.runs)} in all`}
        />
        <Tile name="Watchers" value={count(latest?.watchers)} note={data && `of ${count(data.streams)} ${data.streams === 1 ? "stream" : "streams"}`} href={routeTo("streams")} />
        <Tile
          name="Connections"
          value={count(data && data.connections.sse + data.connections.websocket + data.connections.http)}
          note={data && `${count(data.connections.sse)} SSE, ${count(data.connections.websocket)} WebSocket, ${count(data.connections.http)} HTTP`}
        />
        <Tile name="Delivered" value={short(data?.totals.delivered)} note={data && `events, ${bytes(data.totals.bytes_out)}`} />
        <Tile name="Resumes" value={short(data && resumes(data))} note={data && `${short(data.totals.resumes.gone)} of them gone; ${short(data.totals.reconnects)} reconnects`} />
        <Tile name="Instances" value={count(data?.instances)} note={data && (data.agree ? agreement(data) : "they disagree: see the log")} bad={data?.agree === false} />
        <Tile name="Aborted" value={short(data?.totals.aborted)} note="connections that were cut" />
      </dl>
      <div className="bar">
        <h2>Last minutes</h2>
        <span className="badge" data-state={flowing ? "live" : "waiting"} role="status">
          {flowing ? "Live" : "Waiting"}
        </span>
        <span className="grow" />
        <div className="segments" role="group" aria-label="Time that is shown">
          {SPANS.map((seconds) => (
            <button key={seconds} type="button" aria-pressed={seconds === span} onClick={() => setSpan(seconds)}>
              {seconds / 60} min
            </button>
          ))}
        </div>
      </div>
      <div className="charts">
        {CHARTS.map((spec) => (
          <Chart key={spec.name} spec={spec} samples={samples} span={span} />
        ))}
      </div>
    </>
  );
}

function Tile({ name, value, note, href, bad = false }: { name: string; value: string; note: ReactNode; href?: string; bad?: boolean }) {
  return (
    <div className="tile card">
      <dt>{href ? <a href={href}>{name}</a> : name}</dt>
      <dd className="number" data-tile={name}>
        {value}
      </dd>
      <dd className="small quiet number" data-hue={bad ? "bad" : undefined}>
        {note || "\u00a0"}
      </dd>
    </div>
  );
}

function resumes({ totals }: Values): number {
  return Object.values(totals.resumes).reduce((sum, value) => sum + value, 0);
}

function agreement({ instances, workers }: Values): string {
  if (instances > 1) return "set alike, on one store";
  return workers && workers > 1 ? `of ${count(workers)}` : "this one";
}
