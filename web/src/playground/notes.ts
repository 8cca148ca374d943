/**
 * What a chat's messages do not say of the runs behind them: when the first token came, what an agent is doing, that it
 * began anew. Taken from the same events, so that nothing is watched twice.
 */

import { parseCursor, type Client, type TapeEvent } from "tokentape";

export interface Note {
  readonly model?: string | undefined;
  readonly provider?: string | undefined;
  /** Times of the server, in milliseconds since the Unix epoch. */
  readonly started?: number | undefined;
  /** Of the first token, or thought; undefined when it came merged with others, with the time of the last of them. */
  readonly first?: number | undefined;
  readonly ended?: number | undefined;
  /** The position right after its `start`, from which the first token can be asked for. */
  readonly after?: string | undefined;
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
const MAX_RESETS = 9;

type Draft = { -readonly [K in keyof Note]: Note[K] };

export function createNotes(): Notes {
  // Hundreds of events a second change the drafts; what is shown of them changes a few times.
  const drafts = new Map<string, Draft>();
  const shown = new Map<string, Note>();
  const changed = new Set<string>();
  const listeners = new Set<() => void>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let position = 0;

  function show(): void {
    timer = undefined;
    for (const run of changed) {
      const draft = drafts.get(run);
      if (draft) shown.set(run, { ...draft });
      else shown.delete(run);
    }
    changed.clear();
    for (const listener of [...listeners]) listener();
  }

  /** What is noted of a run, to be changed. */
  function draftOf(run: string): Draft {
    let draft = drafts.get(run);
    if (!draft) {
      drafts.set(run, (draft = { tokens: 0, resets: [] }));
      const oldest = drafts.keys().next().value!;
      if (drafts.size > MAX_RUNS && drafts.delete(oldest)) changed.add(oldest);
    }
    changed.add(run);
    timer ??= setTimeout(show, PAUSE);
    return draft;
  }

  return {
    of: (run) => shown.get(run),
    learn: (run, change) => void Object.assign(draftOf(run), change),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    take(event) {
      const { type, data, run, at, cursor } = event;
      // A view that begins anew tells everything again, or goes on after its position.
      if (type === "ready") {
        position = offsetOf(data.cursor);
        if (data.outcome === "snapshot" || data.outcome === "gone") drafts.clear();
      }
      // A merged event stands for all of those since the one before.
      const count = cursor === undefined ? 1 : Math.max(1, offsetOf(cursor) - position);
      if (cursor !== undefined) position = offsetOf(cursor);
      if (run !== undefined) note(draftOf(run), event, count, at);
    },
  };
}

function note(draft: Draft, { type, data, cursor }: TapeEvent, count: number, at: number | undefined): void {
  switch (type) {
    case "start":
      Object.assign(draft, { model: data.model, provider: data.provider, started: at, after: cursor });
      break;
    case "token":
    case "reasoning":
      if (draft.tokens === 0 && count === 1) draft.first ??= at;
      draft.tokens += count;
      draft.status = undefined;
      break;
    case "status":
      draft.status = data;
      break;
    case "metadata":
      if ("failover" in data) draft.status = data;
      break;
    case "reset":
      draft.resets = [...draft.resets, data.reason].slice(-MAX_RESETS);
      draft.tokens = 0;
      break;
    case "done":
      draft.status = undefined;
      draft.ended = at;
      break;
    default:
  }
}

const offsetOf = (cursor: string): number => parseCursor(cursor)?.offset ?? 0;

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
