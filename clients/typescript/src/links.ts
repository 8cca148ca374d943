/** Which transport a view takes, and what `auto` has learnt of the network that it is in. */

import type { Connection, Surroundings, Transport, View } from "./connection.ts";
import { openPoll, openSse } from "./sse-connection.ts";
import { createSockets } from "./ws-connection.ts";

/** What `auto` tries, in this order: one connection for everything, one for each stream, and what passes anywhere. */
const LADDER: readonly Transport[] = ["ws", "sse", "poll"];

export interface Links {
  open(view: View): Connection;
  /** The transport that the next view takes. */
  readonly transport: Transport;
  close(): void;
}

/** A memory that outlives the page: `sessionStorage`, or nothing. */
export type Memory = Pick<Storage, "getItem" | "setItem">;

export interface LinksOptions extends Omit<Surroundings, "works" | "blocked"> {
  transport: "auto" | Transport;
  fetch: typeof fetch;
  memory?: Memory | undefined;
}

export function createLinks(options: LinksOptions): Links {
  const { http, transport, memory, fetch } = options;
  const key = `tokentape:transport:${http.address("")}`;
  const ladder = transport === "auto" ? LADDER.filter((name) => name !== "ws" || options.WebSocket) : [transport];
  const remembered = ladder.length > 1 ? recall(memory, key) : undefined;
  let at = Math.max(0, ladder.indexOf(remembered as Transport));
  let strikes = 0;
  let proven = false;

  const sockets = createSockets({
    ...options,
    works,
    // A socket that does not open says nothing about why: the server may as well be gone.
    blocked: (name) => void reachable().then((reached) => reached && blocked(name)),
  });

  async function reachable(): Promise<boolean> {
    try {
      const response = await fetch(http.address("v1/models"), { cache: "no-store", signal: AbortSignal.timeout(5_000) });
      void response.body?.cancel();
      return response.status < 500;
    } catch {
      return false;
    }
  }

  function works(name: Transport): void {
    if (name !== ladder[at]) return;
    strikes = 0;
    proven = true;
    // Only what is not the first choice needs to be remembered.
    if (ladder.length > 1 && remembered !== name) remember(memory, key, name);
  }

  function blocked(name: Transport): void {
    // What worked before may just have met the server as it came back, so it is given a second chance.
    if (name !== ladder[at] || ++strikes < (proven ? 2 : 1)) return;
    at = (at + 1) % ladder.length;
    strikes = 0;
    proven = false;
  }

  const surroundings: Surroundings = { ...options, works, blocked };
  return {
    get transport() {
      return ladder[at]!;
    },
    open(view) {
      const name = ladder[at];
      return name === "ws" ? sockets.open(view) : (name === "sse" ? openSse : openPoll)(surroundings, view);
    },
    close: sockets.close,
  };
}

// Storage may be forbidden, or full.
function recall(memory: Memory | undefined, key: string): string | null | undefined {
  try {
    return memory?.getItem(key);
  } catch {
    return undefined;
  }
}

function remember(memory: Memory | undefined, key: string, name: string): void {
  try {
    memory?.setItem(key, name);
  } catch {
    // Then it is learnt anew.
  }
}
