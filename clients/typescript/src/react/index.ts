"use client";
/** React hooks: thin shells over the client, safe in StrictMode and on a server. */

import { createContext, createElement, type ReactElement, type ReactNode, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { Channel, EventMap } from "../channel.ts";
import type { Client, Status } from "../client.ts";
import type { Member, TapeEvent } from "../events.ts";
import type { Run } from "../run.ts";
import { type Ask, type Chat, type ChatState, createChat, LOADING } from "./chat.ts";
import { useFrames } from "./frame.ts";

export type { Ask, Chat, ChatState } from "./chat.ts";

const Context = createContext<Client | undefined>(undefined);

/** Gives the client to the hooks below it. Make it once, outside of any component. */
export function TokentapeProvider({ client, children }: { client: Client; children?: ReactNode }): ReactElement {
  return createElement(Context.Provider, { value: client }, children);
}

export function useTokentape(): Client {
  const client = useContext(Context);
  if (!client) throw new Error("There is no client: put a TokentapeProvider around this component.");
  return client;
}

/** How the connection is. */
export function useConnection(): Status {
  const { get, subscribe } = useTokentape().status;
  return useSyncExternalStore(subscribe, get, get);
}

/** A run as it goes on, watched while the component is there; undefined without an id. */
export function useRun(id: string): Run;
export function useRun(id: string | undefined): Run | undefined;
export function useRun(id: string | undefined): Run | undefined {
  const client = useTokentape();
  const [run, store] = useMemo(() => {
    const run = id === undefined ? undefined : client.attach(id);
    const get = (): unknown => run?.failure ?? run?.answer;
    return [run, { get, subscribe: run?.subscribe ?? (() => () => {}) }];
  }, [client, id]);
  useFrames(store);
  return run;
}

/** A channel, whose events go to the handlers, by their type or `"*"`; the last ones that were given count. */
export function useChannel<E = EventMap>(
  name: string,
  handlers?: { [T in (keyof E & string) | "*"]?: (data: T extends keyof E ? E[T] : unknown, event: TapeEvent) => void },
): Channel<E> {
  const client = useTokentape();
  const channel = useMemo(() => client.channel<E>(name), [client, name]);
  const latest = useRef<Record<string, ((data: any, event: TapeEvent) => void) | undefined> | undefined>(undefined);
  const isWatched = handlers !== undefined;
  useEffect(() => {
    latest.current = handlers as typeof latest.current;
  });
  useEffect(() => {
    if (!isWatched) return undefined;
    return channel.on("*", (data, event) => {
      latest.current?.[event.type]?.(data, event);
      latest.current?.["*"]?.(data, event);
    });
  }, [channel, isWatched]);
  return channel;
}

const NOBODY: readonly Member[] = [];

/** Who is present on a channel; with `me`, so is whoever uses this component, while it is there. */
export function usePresence(name: string, me?: { id?: string; data?: unknown }): readonly Member[] {
  const { presence } = useChannel(name);
  const own = me && JSON.stringify([me.data ?? null, me.id]);
  useEffect(() => {
    if (own === undefined) return undefined;
    const [data, id] = JSON.parse(own) as [unknown, string | null];
    // Without a WebSocket one cannot be present, and still sees who is.
    presence.enter(data, id ?? undefined).catch(() => {});
    return presence.leave;
  }, [presence, own]);
  return useFrames(presence, () => NOBODY);
}

const chats = new WeakMap<Client, Map<string, { chat: Chat; ask: Ask }>>();
/** Conversations of a client that are kept, so that one that is opened again is there at once. */
const MAX_CHATS = 20;

/** The one conversation of that name, for all components. */
function chatOf(client: Client, name: string): { chat: Chat; ask: Ask } {
  let kept = chats.get(client);
  if (!kept) chats.set(client, (kept = new Map()));
  let entry = kept.get(name);
  if (!entry) {
    const made = { ask: (messages) => ({ messages }), chat: createChat(client, name, () => made.ask) } as { chat: Chat; ask: Ask };
    kept.set(name, (entry = made));
    for (const oldest of kept.keys()) if (kept.size > MAX_CHATS) kept.delete(oldest);
  }
  return entry;
}

/**
 * A conversation on a channel: it survives a reload, and is the same in each tab. `ask` says what is asked for, given
 * the conversation up to now: `(messages) => ({ model: "simulated", messages })`. The functions stay the same.
 */
export function useChat(channel: string, ask?: Ask): ChatState & Omit<Chat, "get" | "subscribe"> {
  const client = useTokentape();
  const entry = useMemo(() => chatOf(client, channel), [client, channel]);
  useEffect(() => {
    if (ask) entry.ask = ask;
  });
  const state = useFrames(entry.chat, () => LOADING);
  const { get: _, subscribe: __, ...actions } = entry.chat;
  return { ...state, ...actions };
}
