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
  /** Of the last token, or thought, up to now. */
  readonly latest?: number | undefined;
  readonly ended?: number | undefined;
  /** The position right after its `start`, from which the first token can be asked for. */
  readonly after?: string | undefined;
  readonly tokens: number;
  /** What it is doing, as long as it says nothing: whatever its agent sent. */
  readonly status?: unknown;
  /** Why it began anew, each time. */
  readonly resets: readonly string[];
}

export interface Notes {
  of(run: string): Note | undefined;
  /** Begins a view of a stream; returns what takes its events. */
  view(stream: string): (event: TapeEvent) => void;
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
  const streams = new Map<string, string>();
  const shown = new Map<string, Note>();
  const changed = new Set<string>();
  const listeners = new Set<() => void>();
  let timer: ReturnType<typeof setTimeout> | undefined;

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

  function touch(run: string): void {
    changed.add(run);
    timer ??= setTimeout(show, PAUSE);
  }

  function forget(run: string): void {
    drafts.delete(run);
    streams.delete(run);
    touch(run);
  }

  /** What is noted of a run, to be changed. */
  function draftOf(run: string): Draft {
    let draft = drafts.get(run);
    if (!draft) {
      drafts.set(run, (draft = { tokens: 0, resets: [] }));
      const [oldest] = drafts.keys();
      if (oldest !== undefined && drafts.size > MAX_RUNS) forget(oldest);
    }
    touch(run);
    return draft;
  }

  return {
    of: (run) => shown.get(run),
    learn: (run, change) => void Object.assign(draftOf(run), change),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    view(stream) {
      let position = 0;
      return (event) => {
        const { type, data, run, cursor } = event;
        if (type === "ready") {
          position = offsetOf(data.cursor);
          // It tells everything of its stream again; otherwise it goes on after its position.
          const isAnew = data.outcome === "snapshot" || data.outcome === "gone";
          if (isAnew) for (const [each, its] of streams) if (its === stream) forget(each);
        }
        // A merged event stands for all of those since the one before.
        const count = cursor === undefined ? 1 : Math.max(1, offsetOf(cursor) - position);
        if (cursor !== undefined) position = offsetOf(cursor);
        if (run === undefined) return;
        streams.set(run, stream);
        note(draftOf(run), event, count);
      };
    },
  };
}

function note(draft: Draft, { type, data, cursor, at }: TapeEvent, count: number): void {
  switch (type) {
    case "start":
      Object.assign(draft, { model: data.model, provider: data.provider, started: at, after: cursor });
      break;
    case "token":
    case "reasoning":
      if (draft.tokens === 0 && count === 1) draft.first ??= at;
      draft.tokens += count;
      draft.latest = at;
      draft.status = undefined;
      break;
    case "status":
      draft.status = data ?? undefined;
      break;
    case "metadata":
      if (isObject(data) && "failover" in data) draft.status = data;
      break;
    case "reset":
      draft.resets = [...draft.resets, data.reason].slice(-MAX_RESETS);
      Object.assign(draft, { tokens: 0, first: undefined, latest: undefined });
      break;
    case "done":
      draft.status = undefined;
      draft.ended = at;
      break;
    default:
  }
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

const offsetOf = (cursor: string): number => parseCursor(cursor)?.offset ?? 0;

/** The same client, whose views of channels are noted as well. */
export function withNotes(client: Client, notes: Notes): Client {
  const watch = ((stream: string, options?: Parameters<Client["watch"]>[1]) => {
    const { onEvent } = (options ?? {}) as { onEvent?: (event: TapeEvent) => void };
    if (!onEvent || stream.startsWith("runs/")) return client.watch(stream, options);
    const take = notes.view(stream);
    return client.watch(stream, {
      ...options,
      onEvent(event: TapeEvent) {
        take(event);
        onEvent(event);
      },
    });
  }) as Client["watch"];
  return { ...client, watch };
}
