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

export const isThere = (report: CrowdReport | undefined): boolean =>
  report?.state === "connecting" || report?.state === "watching";

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
  /** Nobody looks any more: ends the crowd if it is this page's own. */
  leave(): void;
}

export function createCrowd(client: Pick<Client, "call">, run: string): Crowd {
  const stream = `runs/${run}`;
  const listeners = new Set<() => void>();
  let view: CrowdView = { busy: false };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let turn = 0;

  function show(next: CrowdView): void {
    view = next;
    for (const listener of [...listeners]) listener();
  }

  /** Asks, and goes on asking while it is there. Only what was asked last is shown. */
  async function ask(method: "GET" | "POST" | "DELETE", body?: object): Promise<void> {
    clearTimeout(timer);
    const mine = (turn += 1);
    let next: CrowdView;
    try {
      const report = await client.call<CrowdReport>(method, PATH, body ? { body } : {});
      // Somebody else's crowd, on another run, may have taken its place.
      next = { busy: false, report: report.stream === stream ? report : undefined };
    } catch (error) {
      next = { ...view, busy: false, error: error as TokentapeError };
    }
    if (mine === turn) {
      show(next);
      if (isThere(view.report)) timer = setTimeout(() => void ask("GET"), LOOK);
    } else if (method === "POST" && isThere(next.report)) dismiss(); // it came when nobody looked any more
  }

  // It ends by itself as well.
  const dismiss = (): void => void client.call("DELETE", PATH).catch(() => {});

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
    leave() {
      clearTimeout(timer);
      turn += 1;
      if (isThere(view.report)) dismiss();
      view = { busy: false };
    },
  };
}
