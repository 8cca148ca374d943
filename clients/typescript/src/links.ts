/** Which transport a view takes, and what `auto` has learnt of the network that it is in. */

import type { Connection, Open, Surroundings, Transport, View } from "./connection.ts";
import { TokentapeError } from "./errors.ts";
import { later } from "./later.ts";

export interface Links {
  /** Throws when there is no such transport here, or its part of the client cannot be loaded. */
  open(view: View): Promise<Connection>;
  /** The transport that the next view takes. */
  transport(): Transport;
  close(): void;
}

/** A memory that outlives the page: `sessionStorage`, or nothing. */
export type Memory = Pick<Storage, "getItem" | "setItem">;

export interface LinksOptions extends Omit<Surroundings, "works" | "blocked" | "closing"> {
  url: string;
  transport: "auto" | Transport;
  fetch: typeof fetch;
  memory?: Memory | undefined;
}

export function createLinks(options: LinksOptions): Links {
  const { http, WebSocket } = options;
  const auto = options.transport === "auto";
  const key = `tokentape ${options.url}`;
  const ways: Transport[] = WebSocket ? ["ws", "sse", "poll"] : ["sse", "poll"];
  let current = options.transport as Transport;
  // What was not tried since something worked.
  let left = ways;
  let strikes = 0;
  let proven = false;
  if (auto) current = ways.find((way) => way === remember()) ?? ways[0]!;

  // Storage may be forbidden, even to look at, or full: then it is learnt anew on each page.
  function remember(news?: Transport): string | null | undefined {
    try {
      const memory = options.memory ?? globalThis.sessionStorage;
      if (news) memory.setItem(key, news);
      return memory.getItem(key);
    } catch {
      return null;
    }
  }

  function works(transport: Transport): void {
    if (transport !== current) return;
    strikes = 0;
    left = ways;
    if (auto && !proven) remember(current);
    proven = true;
  }

  async function blocked(transport: Transport): Promise<void> {
    if (!auto) return;
    // A connection that does not open says nothing about why: the server may as well be gone.
    const response = await options.fetch(http.address("v1/models"), { signal: AbortSignal.timeout(5_000) }).catch(() => {});
    // What worked before may just have met the server as it came back, so it is given a second chance.
    if (!response || response.status >= 500 || transport !== current || ++strikes < (proven ? 2 : 1)) return;
    change();
  }

  function change(): void {
    left = left.filter((way) => way !== current);
    if (!left[0]) left = ways;
    current = left[0]!;
    strikes = 0;
    proven = false;
  }

  const closing: (() => void)[] = [];
  const surroundings: Surroundings = { ...options, works, blocked, closing };
  // Each is a part of its own, and only the one that is in use is loaded.
  const load: Record<Transport, () => Promise<Open>> = {
    ws: later(async () => (await import("./ws-connection.ts")).createOpen(surroundings)),
    sse: later(async () => (await import("./sse-connection.ts")).createOpen(surroundings)),
    poll: later(async () => (await import("./poll-connection.ts")).createOpen(surroundings)),
  };

  async function open(view: View): Promise<Connection> {
    const open = await load[current]();
    try {
      return open(view);
    } catch {
      // There is none, or the page may not open one.
      if (auto) change();
      throw new TokentapeError("unsupported", "A WebSocket cannot be opened here.", { retryable: auto });
    }
  }

  // At once, so that it is there when the first view needs it.
  load[current]().catch(() => {});
  return {
    transport: () => current,
    open,
    close() {
      for (const close of closing) close();
    },
  };
}
