/**
 * The tape itself, read beside all the watchers: by long-poll, each event as it was recorded, with no client's session in
 * between. It is what the watchers are compared with.
 */

import type { Client, TapeEvent, TokentapeError } from "tokentape";
import { createLedger, type Ledger } from "./ledger.ts";

/** Milliseconds between two reads, so that reading the tape costs little beside watching it. */
const PAUSE = 1_000;
/** Seconds that the server waits when there is nothing new. */
const WAIT = 10;

export interface Tape {
  readonly ledger: Ledger;
  /** The run was forgotten, or is not this person's: there is nothing to compare with. */
  readonly error: TokentapeError | undefined;
  close(): void;
}

interface Page {
  events: TapeEvent[];
  cursor: string;
  outcome: "replayed" | "live" | "snapshot" | "gone";
  ended: boolean;
}

export function readTape(client: Pick<Client, "call">, run: string, changed: () => void): Tape {
  const closed = new AbortController();
  const tape: { -readonly [K in keyof Tape]: Tape[K] } = { ledger: createLedger({ single: true }), error: undefined, close: () => closed.abort() };

  async function read(): Promise<void> {
    for (let from = "start"; ; ) {
      const page = await next(from);
      if (closed.signal.aborted) return;
      // A run may begin anywhere in its stream; this tells only which life of the stream it is.
      if (from === "start" || page.outcome === "gone") {
        const cursor = from === "start" ? page.cursor.replace(/[0-9]+$/, "0") : page.cursor;
        tape.ledger.take({ type: "ready", data: { outcome: page.outcome, cursor } });
      }
      for (const event of page.events) tape.ledger.take(event);
      changed();
      if (page.ended) return;
      from = page.cursor;
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }

  async function next(from: string): Promise<Page> {
    const query = { from, merge: false, wait: WAIT };
    for (;;) {
      try {
        return await client.call<Page>("GET", `v1/runs/${encodeURIComponent(run)}/events`, { query, signal: closed.signal });
      } catch (error) {
        const { retryable } = error as TokentapeError;
        if (closed.signal.aborted || !retryable) throw error;
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  read().catch((error: unknown) => {
    if (closed.signal.aborted) return;
    tape.error = error as TokentapeError;
    changed();
  });
  return tape;
}
