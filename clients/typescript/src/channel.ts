/** A channel: a stream that stays open, to which several parties publish, with history and presence. */

import { TokentapeError } from "./errors.ts";
import type { EventData, From, Member, TapeEvent } from "./events.ts";
import type { Feed } from "./feed.ts";
import { type Http, pathOf } from "./http.ts";
import { createPresence, type Presence } from "./presence.ts";
import { createListeners, type Listeners } from "./subscribable.ts";
import type { Message } from "./transcript.ts";
import { createQueue } from "./watch.ts";

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

type Known<E> = E & Omit<EventData, keyof E>;

/** Iterating gives each event from where the iteration began. Handlers share one view, which is resumed after a cut. */
export interface Channel<E = EventMap> extends AsyncIterable<TapeEvent, void, undefined> {
  readonly name: string;
  /** Calls the handler for each event of that type, `"*"` for all; watches as long as there is one. Returns how to stop. */
  on<T extends keyof Known<E> & string>(type: T, handler: (data: Known<E>[T], event: TapeEvent) => void): () => void;
  on(type: "*", handler: (data: unknown, event: TapeEvent) => void): () => void;
  /** Takes back what `on` added. */
  off(type: string, handler: (data: never, event: TapeEvent) => void): void;
  /** Publishes an event, after those that were published here before; resolves with its cursor when it is recorded. */
  emit<T extends keyof Known<E> & string>(type: T, data: Known<E>[T], options?: EmitOptions): Promise<string | null>;
  /** Who is here; its changes; and how to be one of them. */
  readonly presence: Presence;
  /** Events of the past as they were recorded. */
  history(query?: HistoryQuery): Promise<Page<{ cursor: string; event: TapeEvent }>>;
  /** The past as whole messages, without the steps in which they came. */
  messages(query?: HistoryQuery): Promise<Page<Message>>;
  /** Why the channel cannot be watched, if so. */
  readonly failure: TokentapeError | undefined;
}

/** Events that may wait to be sent. */
const MAX_OUTBOX = 1_000;

export interface ChannelSurroundings {
  http: Http;
  feed(stream: string, from: From): Feed;
  /** Whether anybody watches it here. */
  held(channel: Channel<any>, held: boolean): void;
}

export function createChannel(name: string, from: From, { http, feed, held }: ChannelSurroundings): Channel<any> {
  const handlers = new Map<string, Listeners<[data: unknown, event: TapeEvent]>>();
  const offs = new Map<object, Map<string, () => void>>();
  let live: Feed | undefined;
  let leave: (() => void) | undefined;
  let holds = 0;
  let failure: TokentapeError | undefined;
  let waiting = 0;
  let posting = 0;
  let tail: Promise<unknown> = Promise.resolve();

  function hold(): void {
    if (holds++ > 0) return;
    failure = undefined;
    live = feed(name, from);
    held(channel, true);
    leave = live.listen({
      event(event) {
        handlers.get(event.type)?.tell(event.data, event);
        handlers.get("*")?.tell(event.data, event);
      },
      fail(error) {
        failure = error;
      },
    });
  }

  function release(): void {
    if (--holds > 0) return;
    const left = leave;
    live = leave = undefined;
    left?.();
    held(channel, false);
  }

  function on(type: string, handler: (data: any, event: TapeEvent) => void): () => void {
    let group = handlers.get(type);
    if (!group) handlers.set(type, (group = createListeners(hold, release)));
    const off = group.add(handler);
    let byType = offs.get(handler);
    if (!byType) offs.set(handler, (byType = new Map()));
    byType.set(type, off);
    return off;
  }

  function post(type: string, data: unknown, id: string, persist: boolean): Promise<{ cursor: string | null }> {
    posting += 1;
    const body = persist ? { type, data, id } : { type, data, persist };
    const sent = tail.then(() => http.call<{ cursor: string | null }>("POST", pathOf(name, "events"), { body, repeat: persist }));
    tail = sent.catch(() => {}).then(() => (posting -= 1));
    return sent;
  }

  async function emit(type: string, data: unknown, { id = randomId(), persist = true }: EmitOptions = {}): Promise<string | null> {
    if (waiting >= MAX_OUTBOX) {
      throw new TokentapeError("too_many", `${MAX_OUTBOX} events wait to be sent to ${name}.`, { retryable: true });
    }
    waiting += 1;
    try {
      // Over the socket that is there, unless something that was said before is still on its way by HTTP.
      const fields = { stream: name, type, data: data ?? null, persist, ...(persist && { event_id: id }) };
      const sent = posting > 0 ? undefined : live?.request("publish", fields);
      const answer = await (sent
        ? sent.catch((error: TokentapeError) => {
            if (error.code === "unreachable" && persist) return post(type, data ?? null, id, persist);
            throw error;
          })
        : post(type, data ?? null, id, persist));
      return (answer as { cursor: string | null }).cursor;
    } finally {
      waiting -= 1;
    }
  }

  const past = <T>(view: string, query: HistoryQuery = {}): Promise<Page<T>> =>
    http.call("GET", pathOf(name, "history"), { query: { ...query, view }, repeat: true });

  const channel: Channel<any> = {
    name,
    on,
    off(type, handler) {
      offs.get(handler)?.get(type)?.();
      offs.get(handler)?.delete(type);
    },
    emit,
    history: (query) => past("events", query),
    messages: (query) => past("messages", query),
    get failure() {
      return failure;
    },
    presence: createPresence({
      on: on as (type: string, handler: (data: any) => void) => () => void,
      list: async () => (await http.call<{ members: Member[] }>("GET", pathOf(name, "presence"), { repeat: true })).members,
      request: (fields) => live?.request("presence", { stream: name, ...fields }),
    }),
    [Symbol.asyncIterator]: () =>
      createQueue((position, listener) => feed(name, position).listen(listener), from)[Symbol.asyncIterator](),
  };
  return channel;
}

/** Not `crypto.randomUUID`: that exists on secure origins only, and a page may be opened over a LAN. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (byte) => byte.toString(36).padStart(2, "0")).join("");
}
