/**
 * What a chat's messages do not say of the runs behind them: when the first token came, what an agent is doing, that it
 * began anew. Taken from the same events, so that nothing is watched twice.
 */

import { parseCursor, type Client, type TapeEvent } from "tokentape";

export interface Note {
  readonly model?: string;
  readonly provider?: string;
  /** Times of the server, in milliseconds since the Unix epoch. */
  readonly started?: number;
  /** Of the first token, or thought; undefined when it came merged with others, with the time of the last of them. */
  readonly first?: number;
  readonly ended?: number;
  /** The position right after its `start`, from which the first token can be asked for. */
  readonly after?: string;
  readonly tokens: number;
  /** What it is doing, as long as it says nothing. */
  readonly status?: Readonly<Record<string, unknown>> | undefined;
  /** Why it began anew, each time. */
  readonly resets: readonly string[];
}

export interface Notes {
  of(run: string): Note | undefined;
  take(event: TapeEvent): void;
  /** Calls the listener after changes, a few times a second at the most. */
  subscribe(listener: () => void): () => void;
  /** What was learned elsewhere. */
  learn(run: string, change: Partial<Note>): void;
}

/** Runs that are remembered; the oldest are forgotten, and show no figures. */
const MAX_RUNS = 2_000;
const PAUSE = 250;
const EMPTY: Note = { tokens: 0, resets: [] };

export function createNotes(): Notes {
  const notes = new Map<string, Note>();
  const listeners = new Set<() => void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let position = 0;

  function change(run: string, fields: Partial<Note>): void {
    notes.set(run, { ...(notes.get(run) ?? EMPTY), ...fields });
    if (notes.size > MAX_RUNS) notes.delete(notes.keys().next().value!);
    timer ??= setTimeout(() => {
      timer = undefined;
      for (const listener of [...listeners]) listener();
    }, PAUSE);
  }

  return {
    of: (run) => notes.get(run),
    learn: change,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    take({ type, data, run, at, cursor }) {
      if (type === "ready") position = parseCursor(data.cursor)?.offset ?? 0;
      const offset = parseCursor(cursor)?.offset;
      // A merged event stands for all of those since the one before.
      const count = offset === undefined ? 1 : Math.max(1, offset - position);
      if (offset !== undefined) position = offset;
      if (run === undefined) return;
      const note = notes.get(run) ?? EMPTY;
      if (type === "start") change(run, { model: data.model, provider: data.provider, ...(at && { started: at }), ...(cursor && { after: cursor }) });
      else if (type === "token" || type === "reasoning") {
        const isFirst = note.tokens === 0 && count === 1 && at !== undefined;
        change(run, { tokens: note.tokens + count, status: undefined, ...(isFirst && { first: at }) });
      } else if (type === "status") change(run, { status: data });
      else if (type === "metadata" && "failover" in data) change(run, { status: data });
      else if (type === "reset") change(run, { resets: [...note.resets, data.reason].slice(-9), tokens: 0 });
      else if (type === "done") change(run, { status: undefined, ...(at && { ended: at }) });
    },
  };
}

/** The same client, whose views of channels are noted as well. */
export function withNotes(client: Client, notes: Notes): Client {
  const watch = ((stream: string, options?: Parameters<Client["watch"]>[1]) => {
    const { onEvent } = (options ?? {}) as { onEvent?: (event: TapeEvent) => void };
    if (!onEvent || stream.startsWith("runs/")) return client.watch(stream, options);
    return client.watch(stream, {
      ...options,
      onEvent(event: TapeEvent) {
        notes.take(event);
        onEvent(event);
      },
    });
  }) as Client["watch"];
  return { ...client, watch };
}
