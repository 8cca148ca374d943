/** Which transport a view takes, and what `auto` has learnt of the network that it is in. */

import type { Connection, Surroundings, Transport, View } from "./connection.ts";
import { TokentapeError } from "./errors.ts";
import { openSse } from "./sse-connection.ts";
import { createSockets } from "./ws-connection.ts";

export interface Links {
  open(view: View): Connection;
  /** The transport that the next view takes. */
  transport(): Transport;
  close(): void;
}

/** A memory that outlives the page: `sessionStorage`, or nothing. */
export type Memory = Pick<Storage, "getItem" | "setItem">;

export interface LinksOptions extends Omit<Surroundings, "works" | "blocked"> {
  url: string;
  transport: "auto" | Transport;
  fetch: typeof fetch;
  memory?: Memory | undefined;
}

export function createLinks(options: LinksOptions): Links {
  const { http, memory, WebSocket } = options;
  const auto = options.transport === "auto";
  const key = `tokentape ${options.url}`;
  let current = options.transport as Transport;
  let strikes = 0;
  let proven = false;
  if (auto) current = !WebSocket || recall() === "sse" ? "sse" : "ws";

  function recall(): string | null | undefined {
    try {
      return memory?.getItem(key);
    } catch {
      return null; // storage may be forbidden
    }
  }

  function works(transport: Transport): void {
    if (transport !== current) return;
    strikes = 0;
    try {
      if (auto && !proven) memory?.setItem(key, current);
    } catch {
      // Then it is learnt anew on each page.
    }
    proven = true;
  }

  async function blocked(transport: Transport): Promise<void> {
    if (!auto || !WebSocket) return;
    // A connection that does not open says nothing about why: the server may as well be gone.
    const response = await options.fetch(http.address("v1/models"), { signal: AbortSignal.timeout(5_000) }).catch(() => {});
    // What worked before may just have met the server as it came back, so it is given a second chance.
    if (!response || response.status >= 500 || transport !== current || ++strikes < (proven ? 2 : 1)) return;
    current = current === "ws" ? "sse" : "ws";
    strikes = 0;
    proven = false;
  }

  const surroundings: Surroundings = { ...options, works, blocked };
  const sockets = createSockets(surroundings);
  return {
    transport: () => current,
    open(view) {
      try {
        if (current === "ws") return sockets.open(view);
      } catch {
        // There is none, or the page may not open one.
        if (!auto) {
          const error = new TokentapeError("unsupported", "A WebSocket cannot be opened here.");
          queueMicrotask(() => view.emit({ type: "refused", error }));
          return { close() {}, check() {} };
        }
        current = "sse";
      }
      return openSse(surroundings, view);
    },
    close: sockets.close,
  };
}
