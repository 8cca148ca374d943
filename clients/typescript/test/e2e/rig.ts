/** Clients of the one server, good and bad networks to it, and what is made of what they get; all ends with its test. */

import { inject, onTestFinished } from "vitest";
import { type Client, type ClientOptions, createClient, type TapeEvent } from "../../src/index.ts";
import { type Network, startNetwork } from "./server.ts";

export const TRANSPORTS = ["ws", "sse", "poll"] as const;
export const HELLO = [{ role: "user", content: "Hello" }];

const url = inject("url");

/** Reconnects quickly; of the server that all tests share, unless another is named. */
export function clientOf(options: ClientOptions = {}): Client {
  const client = createClient({ url, backoff: { base: 1, cap: 20 }, ...options });
  onTestFinished(client.close);
  return client;
}

export async function networkTo(target = url): Promise<Network> {
  const network = await startNetwork(target);
  onTestFinished(network.close);
  return network;
}

/** A name that no other test uses. */
export const room = (): string => `room-${Math.random().toString(36).slice(2)}`;

export async function all(events: AsyncIterable<TapeEvent>): Promise<TapeEvent[]> {
  const got: TapeEvent[] = [];
  for await (const event of events) got.push(event);
  return got;
}

export const stored = (events: TapeEvent[]): TapeEvent[] => events.filter(({ cursor }) => cursor !== undefined);

export const textOf = (events: TapeEvent[]): string =>
  events.filter(({ type }) => type === "token").map(({ data }) => data).join("");

/** What a watcher makes of what it got, however it was merged. */
export function assembled(events: TapeEvent[]): unknown[] {
  const story: { type: string; data: unknown }[] = [];
  for (const { type, data } of events) {
    const last = story.at(-1);
    if (type === "token" && last?.type === "token") last.data = `${last.data}${data}`;
    else story.push({ type, data });
  }
  return story;
}
