/** The admin API of the server (`/v1/admin/…`): what it answers, and one function for each route. */

import { TokentapeError } from "tokentape";
import { client, whenRefused } from "../app/server.ts";
import { health } from "./health.ts";

/** Milliseconds over the last seconds; the percentiles are null while nothing was counted. */
export interface Percentiles {
  count: number;
  p50: number | null;
  p90: number | null;
  p99: number | null;
}

/** One second of the process. `at` is in Unix seconds; what is counted is per second. */
export interface Sample {
  at: number;
  tokens: number;
  events: number;
  delivered: number;
  bytes_out: number;
  watchers: number;
  connections: number;
  runs: number;
  cpu: number;
  memory: number;
  ttft: Percentiles;
  inter_token: Percentiles;
  delivery: Percentiles;
  resumes: number;
  reconnects: number;
}

export interface Overview {
  version: string;
  python: string;
  instance: string;
  pid: number;
  started_at: number;
  uptime: number;
  store: { kind: string; url: string };
  instances: number;
  agree: boolean;
  workers?: number | null;
  connections: { sse: number; websocket: number; http: number };
  watchers: number;
  streams: number;
  runs: { live: number; queued: number };
  sample: Sample;
  totals: {
    runs: number;
    tokens: number;
    delivered: number;
    bytes_out: number;
    resumes: Record<"replayed" | "snapshot" | "live" | "gone", number>;
    reconnects: number;
    aborted: number;
  };
}

export type RunState = "queued" | "running" | "done";
export type RunScope = "live" | "queued" | "done" | "all";

/** One run. `rate` is over its life, or over the last seconds while it is live; null is what is not known, or not yet. */
export interface RunRow {
  id: string;
  stream: string;
  model: string;
  provider: string | null;
  state: RunState;
  reason: string | null;
  created_at: number;
  started_at: number | null;
  ended_at: number | null;
  /** Seconds since it was asked for, to its end if it has ended. */
  age: number;
  tokens: number | null;
  rate: number | null;
  ttft_ms: number | null;
  watchers: number;
  lag: number;
  attempts: number;
  error: { code: string; message: string } | null;
}

export interface Attempt {
  provider: string;
  model: string;
  started_at: number;
  first_token_ms?: number | null;
  ended_at?: number | null;
  outcome: string;
  error_code?: string | null;
}

export interface RunDetail extends Omit<RunRow, "attempts"> {
  usage: Record<string, unknown> | null;
  request: { metadata: Record<string, unknown>; [member: string]: unknown };
  attempts: Attempt[];
  /** `at` is in seconds since the Unix epoch. */
  marks: { at: number; offset: number | null; kind: string; label: string }[];
}

export interface StreamRow {
  stream: string;
  kind: "run" | "channel" | "other";
  head: string | null;
  events: number;
  watchers: number;
  lag: number;
  ring_bytes: number;
  /** Seconds since its newest event; null is what is not known here. */
  idle: number | null;
  state: "open" | "closed";
  present: number | null;
}

/** A stream as the store has it; of the public API. Times are Unix milliseconds, 0 for never. */
export interface StreamInfo {
  name: string;
  kind: string | null;
  cursor: string;
  first: number;
  last: number;
  bytes: number;
  closed: boolean;
  content_type: string;
  created_at: number;
  appended_at: number;
  watchers: number;
}

export interface WatcherRow {
  id: string;
  transport: string;
  format: string;
  /** Null for one of the application itself. */
  address: string | null;
  since: number;
  /** Seconds that it has lasted, by the server's clock. */
  age: number;
  cursor: string;
  lag: number;
  /** Its connection takes nothing at this moment. */
  paused: boolean;
  /** The run of a channel that it sees, if it does not see all of it. */
  run: string | null;
}

/** `event` is null, and `frames` empty, where a stream is not one of events; `at` where it has none. */
export interface Inspected {
  cursor: string;
  at: number | null;
  bytes: number;
  event: unknown;
  record: string;
  /** What it becomes, alone, on the wire in each format; null where a format has nothing to say. */
  frames: Record<string, string | null>;
}

export interface Stopped {
  stopped: string[];
  ended: string[];
  unknown: string[];
}

// Somebody who is asked for a key may take his time; the server is there meanwhile.
whenRefused(health.heard);

type Query = Record<string, string | number | undefined>;
type Signal = AbortSignal | undefined;

/** One request; what it says of the server, that it is there, or gone, or wants a key, goes to `health`. */
export async function ask<T>(method: string, path: string, options: { query?: Query; body?: unknown; signal?: Signal } = {}): Promise<T> {
  try {
    const answer = await client.call<T>(method, path, options);
    health.heard();
    return answer;
  } catch (error) {
    // An answer that was let go of may be half of one.
    if (error instanceof TokentapeError && !options.signal?.aborted) health.failed(error);
    throw error;
  }
}

const get = <T>(path: string, signal: Signal, query?: Query): Promise<T> => ask("GET", `v1/admin/${path}`, { signal, ...(query && { query }) });

/** A stream's name as a path: its slashes stay. */
export const pathOf = (stream: string): string => stream.split("/").map(encodeURIComponent).join("/");

/** Rows asked for at once: the most that the server gives. */
export const MOST = 1000;

export const admin = {
  overview: (signal?: Signal) => get<Overview>("overview", signal),
  metrics: (signal?: Signal) => get<{ interval: number; samples: Sample[] }>("metrics", signal),
  runs: (query: { state: RunScope; q?: string | undefined }, signal?: Signal) =>
    get<{ total: number; runs: RunRow[] }>("runs", signal, { ...query, limit: MOST }),
  run: (id: string, signal?: Signal) => get<RunDetail>(`runs/${encodeURIComponent(id)}`, signal),
  stop: (ids: readonly string[], reason: string) =>
    ask<Stopped>("POST", "v1/admin/runs/stop", { body: { ids, reason } }),
  streams: (query: { q?: string | undefined }, signal?: Signal) =>
    get<{ total: number; streams: StreamRow[] }>("streams", signal, { ...query, limit: MOST }),
  stream: (stream: string, signal?: Signal) => ask<StreamInfo>("GET", `v1/streams/${pathOf(stream)}`, { signal }),
  watchers: (stream: string, signal?: Signal) =>
    get<{ total: number; watchers: WatcherRow[] }>(`streams/${pathOf(stream)}/watchers`, signal, { limit: MOST }),
  disconnect: (watcher: string) => ask<{ disconnected: true }>("POST", `v1/admin/watchers/${encodeURIComponent(watcher)}/disconnect`),
  event: (stream: string, cursor: string, signal?: Signal) => get<Inspected>(`streams/${pathOf(stream)}/event`, signal, { cursor }),
};
