/** Which transport a view takes, and what `auto` has learnt of the network that it is in. */

import type { Connection, Opener, Surroundings, Transport, View } from "./connection.ts";
import { TokentapeError, unreachable } from "./errors.ts";

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

/** Each transport is a part of its own, and only the one that is in use is loaded. */
const PARTS = {
  ws: () => import("./ws-connection.ts"),
  sse: () => import("./sse-connection.ts"),
};

export function createLinks(options: LinksOptions): Links {
  const { http, memory, WebSocket } = options;
  const auto = options.transport === "auto";
  const key = `tokentape ${options.url}`;
  const openers: { [T in Transport]?: Promise<Opener> | undefined } = {};
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
    use(current === "ws" ? "sse" : "ws");
  }

  function use(transport: Transport): void {
    current = transport;
    strikes = 0;
    proven = false;
  }

  const surroundings: Surroundings = { ...options, works, blocked };

  function load(): Promise<Opener> {
    const transport = current;
    return (openers[transport] ??= PARTS[transport]().then(
      ({ createOpener }) => createOpener(surroundings),
      (error: unknown) => {
        openers[transport] = undefined;
        throw unreachable(`The part of the client for ${transport} cannot be loaded.`, error);
      },
    ));
  }

  function open(view: View): Connection {
    let connection: Connection | undefined;
    let closed = false;
    load().then(
      (opener) => {
        if (closed) return;
        try {
          connection = opener.open(view);
        } catch {
          // There is none, or the page may not open one.
          if (auto) {
            use("sse");
            connection = open(view);
          } else view.emit({ type: "refused", error: new TokentapeError("unsupported", "A WebSocket cannot be opened here.") });
        }
      },
      (error: TokentapeError) => closed || view.emit({ type: "lost", error }),
    );
    return {
      close() {
        closed = true;
        connection?.close();
      },
      check: () => connection?.check(),
      request: (op, fields) => connection?.request?.(op, fields),
    };
  }

  return {
    transport: () => current,
    open,
    close() {
      for (const opener of Object.values(openers)) opener?.then(({ close }) => close?.(), () => {});
    },
  };
}
