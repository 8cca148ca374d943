/** A channel: a stream that stays open, to which several parties publish, with history and presence. */

import { TokentapeError } from "./errors.ts";
import type { EventData, From, TapeEvent } from "./events.ts";
import type { Feed } from "./feed.ts";
import { type Http, pathOf, randomId } from "./http.ts";
import { createPresence, type Presence } from "./presence.ts";
import { createShared } from "./shared.ts";
import { guarded } from "./subscribable.ts";
import type { Message } from "./transcript.ts";

/** Part of the past: cursors, both exclusive; 50 items, the newest first, when nothing is said. */
export interface HistoryQuery {
  before?: string | undefined;
  after?: string | undefined;
  limit?: number;
  order?: "newest" | "oldest";
}

/** A page of the past. Watching from `cursor` goes on live without a gap; `next` asks for the next page. */
export interface Page<T> {
  items: T[];
  cursor: string;
  next: string | null;
}

export interface EmitOptions {
  /** The same id is recorded once, however often it is sent; drawn when none is given. */
  id?: string;
  /** False shows it to those who watch at this moment, and keeps nothing. */
  persist?: boolean;
}

/** What an application's own events carry, by their type: `Channel<{ "chat:said": { text: string } }>`. */
export type EventMap = Record<`${string}:${string}`, unknown>;

type Known<E> = E & Omit<EventData & { end: TokentapeError | undefined }, keyof E>;

/** Iterating gives each event from where the iteration began. Handlers share one view, which is resumed after a cut. */
export interface Channel<E = EventMap> extends AsyncIterable<TapeEvent, void, undefined> {
  readonly name: string;
  /**
   * Calls the handler for each event of that type, `"*"` for all; watches as long as there is one. Returns how to stop.
   * `"end"` says that nothing follows: the channel was closed, or, with an error, cannot be watched any further.
   */
  on<T extends (keyof Known<E> & string) | "*">(
    type: T,
    handler: (data: T extends keyof Known<E> ? Known<E>[T] : unknown, event: TapeEvent) => void,
  ): () => void;
  /** Takes back what `on` added. */
  off(type: string, handler: (data: any, event: TapeEvent) => void): void;
  /** Publishes an event, after those that were published here before; resolves with its cursor when it is recorded. */
  emit<T extends keyof Known<E> & string>(type: T, data: Known<E>[T], options?: EmitOptions): Promise<string | null>;
  /** Who is here; its changes; and how to be one of them. */
  readonly presence: Presence;
  /** Events of the past as they were recorded. */
  history(query?: HistoryQuery): Promise<Page<{ cursor: string; event: TapeEvent }>>;
  /** The past as whole messages, without the steps in which they came. */
  messages(query?: HistoryQuery): Promise<Page<Message>>;
}

/** Events that may wait to be sent. */
const MAX_OUTBOX = 1_000;

export interface ChannelSurroundings {
  http: Http;
  feed(stream: string, from: From): Feed;
}

type Handler = (data: any, event: TapeEvent) => void;

export function createChannel(name: string, from: From, { http, feed }: ChannelSurroundings): Channel<any> {
  const handlers = new Map<string, Set<Handler>>();
  let waiting = 0;
  let posting = 0;
  let tail: Promise<unknown> = Promise.resolve();

  const shared = createShared((from) => feed(name, from), () => from, {
    event(event) {
      tell(event.type, event.data, event);
      tell("*", event.data, event);
    },
    end(error) {
      // Whoever comes next begins anew.
      shared.drop();
      tell("end", error, { type: "end", data: error } as unknown as TapeEvent);
    },
  });

  function tell(type: string, data: unknown, event: TapeEvent): void {
    for (const handler of [...(handlers.get(type) ?? [])]) guarded(handler, data, event);
  }

  function on(type: string, handler: Handler): () => void {
    const group = handlers.get(type) ?? new Set();
    handlers.set(type, group);
    if (!group.has(handler)) {
      group.add(handler);
      shared.hold();
    }
    return () => off(type, handler);
  }

  function off(type: string, handler: Handler): void {
    if (handlers.get(type)?.delete(handler)) shared.release();
  }

  // One after the other, because requests that are under way together may overtake one another.
  function inTurn(send: () => Promise<unknown>): Promise<unknown> {
    posting += 1;
    const sent = tail.then(send);
    tail = sent.catch(() => {}).then(() => (posting -= 1));
    return sent;
  }

  async function emit(type: string, data: unknown = null, { id = randomId(), persist = true }: EmitOptions = {}): Promise<string | null> {
    if (waiting >= MAX_OUTBOX) throw new TokentapeError("too_many", "Too many events wait to be sent.");
    waiting += 1;
    try {
      const event = { type, data, persist, ...(persist && { id }) };
      const post = (): Promise<unknown> => inTurn(() => http.call("POST", pathOf(name, "events"), { body: event, repeat: persist }));
      // Over the socket that is there, unless something that was said before is still on its way by HTTP.
      const sent = posting > 0 ? undefined : shared.feed()?.request("publish", event);
      const { cursor } = (await (sent?.catch((error: TokentapeError) => {
        if (error.code !== "unreachable" || !persist) throw error;
        return post();
      }) ?? post())) as { cursor: string | null };
      return cursor;
    } finally {
      waiting -= 1;
    }
  }

  const past = <T>(view: string, query: HistoryQuery = {}): Promise<Page<T>> =>
    http.call("GET", pathOf(name, "history"), { query: { ...query, view }, repeat: true });

  return {
    name,
    on,
    off,
    emit,
    history: (query) => past("events", query),
    messages: (query) => past("messages", query),
    presence: createPresence({ name, http, on, off, feed: shared.feed }),
    [Symbol.asyncIterator]: () => shared.iterate(from),
  };
}
