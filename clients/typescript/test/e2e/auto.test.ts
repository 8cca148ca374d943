/** The transport `auto`: what it goes over to, and what it remembers. */

import { expect, test } from "vitest";
import type { Memory } from "../../src/index.ts";
import { all, clientOf, HELLO, networkTo, room } from "./rig.ts";

const isUpgrade = (head: string): boolean => /^upgrade: websocket/im.test(head);
const isStream = (head: string): boolean => /accept: text\/event-stream/i.test(head);

function memory(): Memory & { kept: Map<string, string> } {
  const kept = new Map<string, string>();
  return { kept, getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) };
}

test("auto goes over to SSE where a WebSocket is blocked, and remembers", async () => {
  const network = await networkTo();
  network.weather = { refuse: isUpgrade };
  const kept = memory();
  const client = clientOf({ url: network.url, memory: kept });
  const run = await client.run({ messages: HELLO, simulated: { rate: 0, tokens: 10 } });
  expect((await run.done).state).toBe("stop");
  expect(client.status.get().transport).toBe("sse");
  expect([...kept.kept.values()]).toEqual(["sse"]);
  expect(clientOf({ url: network.url, memory: kept }).status.get().transport).toBe("sse");
});

test("auto goes over where none can be made, and says so where nothing else is wanted", async () => {
  class Forbidden {
    constructor() {
      throw new DOMException("the page is secure", "SecurityError");
    }
  }
  const options = { WebSocket: Forbidden as unknown as typeof WebSocket };
  const client = clientOf(options);
  expect((await client.watch(room())[Symbol.asyncIterator]().next()).value).toMatchObject({ type: "ready" });
  expect(client.status.get().transport).toBe("sse");
  await expect(all(clientOf({ ...options, transport: "ws" }).watch("room"))).rejects.toMatchObject({ code: "unsupported" });
});

test("auto goes over where a WebSocket opens and says nothing", async () => {
  const network = await networkTo();
  network.weather = { swallow: isUpgrade };
  const client = clientOf({ url: network.url, timeouts: { firstWord: 200 } });
  const run = await client.run({ messages: HELLO, simulated: { rate: 0, tokens: 10 } });
  expect((await run.done).state).toBe("stop");
  expect(client.status.get().transport).toBe("sse");
});

test("auto goes over to plain requests where nothing else comes through, and remembers", async () => {
  const network = await networkTo();
  network.weather = { refuse: isUpgrade, swallow: isStream };
  const kept = memory();
  const client = clientOf({ url: network.url, memory: kept, timeouts: { firstWord: 200 } });
  const run = await client.run({ messages: HELLO, simulated: { rate: 0, tokens: 10 } });
  expect((await run.done).state).toBe("stop");
  expect(client.status.get().transport).toBe("poll");
  expect([...kept.kept.values()]).toEqual(["poll"]);
  // It may do better later, and is tried again when plain requests do not work either.
  network.weather = { refuse: isUpgrade, swallow: (head) => /accept: application\/json/i.test(head) && head.includes("/events") };
  network.cut();
  const again = await clientOf({ url: network.url, memory: kept, timeouts: { firstWord: 200 } }).watch(room())[Symbol.asyncIterator]().next();
  expect(again.value).toMatchObject({ type: "ready" });
  expect([...kept.kept.values()]).toEqual(["sse"]);
});

test("auto goes over to a WebSocket where an event stream is held back", async () => {
  const network = await networkTo();
  network.weather = { swallow: isStream };
  const kept = memory();
  kept.setItem(`tokentape ${network.url}`, "sse");
  const client = clientOf({ url: network.url, memory: kept, timeouts: { firstWord: 200 } });
  expect(client.status.get().transport).toBe("sse");
  const run = await client.run({ messages: HELLO, simulated: { rate: 0, tokens: 10 } });
  expect((await run.done).state).toBe("stop");
  expect(client.status.get().transport).toBe("ws");
});
