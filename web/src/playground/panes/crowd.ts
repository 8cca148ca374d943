/**
 * A crowd of watchers of the same run, which the server starts as a process of its own, over real sockets: what it counted
 * and measured is asked for while it is there.
 */

import type { Client, TokentapeError } from "tokentape";

/** Milliseconds between two looks. */
const LOOK = 400;
/** Seconds that it stays at most; it leaves when the run ends. */
const SECONDS = 120;
const PATH = "v1/admin/crowd";

export const SIZES = [10, 100, 1_000] as const;
export type CrowdTransport = "sse" | "websocket";

/** What the server tells of a crowd; delays in milliseconds, from recorded to arrived. */
export interface CrowdReport {
  state: "idle" | "connecting" | "watching" | "ended";
  stream: string | null;
  watchers: number;
  connected: number;
  received: number;
  lost: number;
  repeated: number;
  reconnected?: number;
  delay: { p50: number | null; p90: number | null; p99: number | null; max: number | null };
  /** Whether all got the same; null as long as that cannot be said. */
  equal: boolean | null;
  error?: string | null;
}

export interface CrowdView {
  readonly busy: boolean;
  readonly report?: CrowdReport | undefined;
  readonly error?: TokentapeError | undefined;
}

export interface Crowd {
  get(): CrowdView;
  subscribe(listener: () => void): () => void;
  start(watchers: number, transport: CrowdTransport): void;
  end(): void;
  /** Ends the crowd if it is this page's own. */
  close(): void;
}

export function createCrowd(client: Pick<Client, "call">, run: string): Crowd {
  const stream = `runs/${run}`;
  const listeners = new Set<() => void>();
  let view: CrowdView = { busy: false };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let closed = false;

  function show(next: CrowdView): void {
    view = next;
    for (const listener of [...listeners]) listener();
  }

  const there = (): boolean => view.report?.state === "connecting" || view.report?.state === "watching";

  async function ask(method: string, body?: object): Promise<void> {
    clearTimeout(timer);
    try {
      const report = await client.call<CrowdReport>(method, PATH, body ? { body } : {});
      if (closed) return;
      // Somebody else's crowd, on another run, may have taken its place.
      show({ busy: false, report: report.stream === stream ? report : undefined });
    } catch (error) {
      if (!closed) show({ ...view, busy: false, error: error as TokentapeError });
    }
    if (there() && !closed) timer = setTimeout(() => void ask("GET"), LOOK);
  }

  return {
    get: () => view,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    start(watchers, transport) {
      show({ busy: true });
      void ask("POST", { stream, watchers, transport, seconds: SECONDS });
    },
    end() {
      show({ ...view, busy: true });
      void ask("DELETE");
    },
    close() {
      clearTimeout(timer);
      listeners.clear();
      if (there()) client.call("DELETE", PATH).catch(() => {}); // it ends by itself as well
      closed = true;
    },
  };
}
