/** The client against a real server, over a network that is good, bad, or gone. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Client, type ClientOptions, createClient, type Member, type Memory, type TapeEvent, TokentapeError } from "../../src/index.ts";
import { type Network, startNetwork, startServer, type TokentapeServer, until } from "./server.ts";

const HELLO = [{ role: "user", content: "Hello" }];
const QUICK = { base: 1, cap: 20 };

let server: TokentapeServer;
const clients: Client[] = [];
const networks: Network[] = [];

beforeAll(async () => {
  server = await startServer();
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await Promise.all(networks.splice(0).map((network) => network.close()));
});

afterAll(() => server.kill());

function clientOf(options: ClientOptions = {}): Client {
  const client = createClient({ url: server.url, backoff: QUICK, ...options });
  clients.push(client);
  return client;
}

async function networkTo(url: string): Promise<Network> {
  const network = await startNetwork(url);
  networks.push(network);
  return network;
}

async function all(events: AsyncIterable<TapeEvent>): Promise<TapeEvent[]> {
  const got: TapeEvent[] = [];
  for await (const event of events) got.push(event);
  return got;
}

const stored = (events: TapeEvent[]): TapeEvent[] => events.filter(({ cursor }) => cursor !== undefined);
const room = (): string => `room-${Math.random().toString(36).slice(2)}`;
const isUpgrade = (head: string): boolean => /^upgrade: websocket/im.test(head);

describe.each(["ws", "sse", "poll"] as const)("over %s", (transport) => {
  test("a run is played to its end, with its events and its answer", async () => {
    const client = clientOf({ transport });
    const run = await client.run({ messages: HELLO, simulated: { rate: 500, tokens: 30 } });
    const events = await all(run);
    const answer = await run.done;
    expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(["ready", "start", "token", "done"]));
    expect(events.filter(({ type }) => type === "token").map(({ data }) => data).join("")).toBe(run.text);
    expect(answer).toMatchObject({ role: "assistant", run: run.id, state: "stop", content: run.text });
    expect(answer.usage!.output_tokens).toBe(30);
    expect(run.status).toBe("done");
    // Who comes late gets the same, also through the run itself.
    expect(assembled(stored(await all(run)))).toEqual(assembled(stored(events)));
    const late = stored(await all(client.watch(run.stream, { merge: false })));
    expect(late.at(-1)!.cursor).toBe(run.cursor);
    expect(late.length).toBeGreaterThan(30);
  });

  test("cut at random bytes, nothing is lost or repeated (P1, P2)", async () => {
    const network = await networkTo(server.url);
    let seed = 7;
    network.weather = { budget: () => (seed = (seed * 48_271) % 2_147_483_647) % 4_000 };
    const direct = clientOf();
    const run = await direct.run({ messages: HELLO, simulated: { rate: 300, tokens: 300 } });
    // An answer to a plain request comes as a whole or not at all, so it must be small enough to come.
    const merge = transport === "poll";
    const events = stored(await all(clientOf({ url: network.url, transport }).watch(run.stream, { merge })));
    const whole = stored(await all(direct.watch(run.stream, { merge: false })));
    expect(network.connections).toBeGreaterThan(4);
    expect(assembled(events)).toEqual(assembled(whole));
    const offsets = events.map(({ cursor }) => Number(cursor!.split("-")[1]));
    expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
  });

  test("a cut in mid-answer is told, and mended", async () => {
    const network = await networkTo(server.url);
    const client = clientOf({ url: network.url, transport });
    const states: string[] = [];
    client.status.subscribe(() => states.push(client.status.get().state));
    const run = await client.run({ messages: HELLO, simulated: { rate: 100, tokens: 120 } });
    await until(() => run.text.length > 20);
    network.cut();
    const { content, usage } = await run.done;
    // Between two requests there is nothing to be cut.
    const cut = transport === "poll" && !states.includes("waiting") ? [] : ["waiting", "connecting", "open"];
    expect(states).toEqual(["connecting", "open", ...cut, "idle"]);
    expect(usage!.output_tokens).toBe(120);
    const tape = await all(clientOf().watch(run.stream));
    expect(tape.filter(({ type }) => type === "token").map(({ data }) => data).join("")).toBe(content);
  });

  test("a run is stopped from elsewhere, and says why", async () => {
    const run = await clientOf({ transport }).run({ messages: HELLO, simulated: { rate: 20, tokens: 400 } });
    await until(() => run.text);
    const info = await clientOf().attach(run.id).stop("enough");
    expect(info).toMatchObject({ state: "done", reason: "stopped" });
    const { state, content } = await run.done;
    expect(state).toBe("stopped");
    expect(content.length).toBeGreaterThan(0);
  });

  test("a run is interrupted by another one", async () => {
    const first = await clientOf({ transport }).run({ messages: HELLO, simulated: { rate: 20, tokens: 400 } });
    await until(() => first.text);
    const second = await first.replace({ messages: [...HELLO, { role: "user", content: "No, wait" }], simulated: { tokens: 5, rate: 0 } });
    expect((await first.done).state).toBe("stopped");
    expect((await second.done).state).toBe("stop");
    const [, start] = await all(second);
    expect(start).toMatchObject({ type: "start", data: { replaces: first.id } });
  });

  test("what the server refuses has its code", async () => {
    const client = clientOf({ transport });
    const failed = await client.attach("r_nothing").done.catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(TokentapeError);
    expect(failed).toMatchObject({ code: "run_not_found", retryable: false });
    await expect(all(client.watch("runs/r_nothing"))).rejects.toMatchObject({ code: "run_not_found" });
    await expect(all(client.watch("room", { from: "7" }))).rejects.toMatchObject({ code: "invalid_cursor" });
    await expect(client.run({ messages: [] })).rejects.toMatchObject({ code: "bad_request", status: 400 });
  });

  test("a cursor that is gone is told, with everything that is there", async () => {
    const client = clientOf({ transport });
    const name = room();
    await client.channel(name).emit("chat:said", 1);
    const events = client.watch(name, { from: "zzzzzzzz-40" })[Symbol.asyncIterator]();
    const next = async (): Promise<unknown> => (await events.next()).value;
    expect(await next()).toMatchObject({ type: "ready", data: { outcome: "gone", reason: "epoch" } });
    expect(await next()).toMatchObject({ type: "chat:said", data: 1 });
    await events.return!();
    expect(client.status.get().state).toBe("idle");
  });

  test("a channel: handlers, order, what is not kept, history", async () => {
    const client = clientOf({ transport });
    const channel = client.channel<{ "chat:said": number; "chat:typing": string }>(room());
    const said: number[] = [];
    const every: string[] = [];
    const typing = (who: string): void => void every.push(`typing ${who}`);
    channel.on("chat:said", (data, { cursor }) => said.push(data) && expect(cursor).toBeDefined());
    channel.on("*", (_, { type }) => every.push(type));
    channel.on("chat:typing", typing);
    await until(() => every.includes("ready"));
    const cursors = await Promise.all([1, 2, 3, 4].map((data) => channel.emit("chat:said", data)));
    expect(await channel.emit("chat:typing", "ada", { persist: false })).toBeNull();
    // Who asks again and again may miss what is not kept.
    if (transport !== "poll") await until(() => every.includes("chat:typing"));
    channel.off("chat:typing", typing);
    await channel.emit("chat:typing", "bob", { persist: false });
    await channel.emit("chat:said", 5, { id: "five" });
    await channel.emit("chat:said", 5, { id: "five" });
    await until(() => said.length === 5);
    expect(said).toEqual([1, 2, 3, 4, 5]);
    if (transport !== "poll") expect(every.filter((type) => type.startsWith("typing"))).toEqual(["typing ada"]);
    const page = await channel.history({ order: "oldest", limit: 2 });
    expect(page.items.map(({ cursor, event }) => [cursor, event.data])).toEqual([[cursors[0], 1], [cursors[1], 2]]);
    const rest = await channel.history({ order: "oldest", after: page.next! });
    expect(rest.items.map(({ event }) => event.data)).toEqual([3, 4, 5]);
    expect(rest.next).toBeNull();
    await expect(channel.emit("nocolon" as "chat:said", 1)).rejects.toMatchObject({ code: "invalid_event" });
  });

  test("what is published while the connection opens stays in order", async () => {
    const client = clientOf({ transport });
    const channel = client.channel(room());
    const sent: Promise<unknown>[] = [];
    let open = false;
    channel.on("ready", () => {
      open = true;
      sent.push(channel.emit("chat:n", sent.length));
    });
    while (!open || sent.length < 40) {
      sent.push(channel.emit("chat:n", sent.length));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(sent);
    const { items } = await channel.history({ order: "oldest", limit: 1_000 });
    expect(items.map(({ event }) => event.data)).toEqual(sent.map((_, place) => place));
  });

  test("a handler that throws keeps nobody else from being told", async () => {
    const channel = clientOf({ transport }).channel(room());
    const thrown: unknown[] = [];
    const listeners = process.rawListeners("uncaughtException");
    process.removeAllListeners("uncaughtException");
    process.on("uncaughtException", (error) => thrown.push(error.message));
    onTestFinished(() => {
      process.removeAllListeners("uncaughtException");
      for (const listener of listeners) process.on("uncaughtException", listener as () => void);
    });
    const got: unknown[] = [];
    channel.on("chat:said", () => {
      throw new Error("of the application");
    });
    channel.on("chat:said", (data) => got.push(data));
    channel.on("ready", () => void channel.emit("chat:said", 1));
    await until(() => got.length === 1 && thrown.length === 1);
    expect(thrown).toEqual(["of the application"]);
  });

  test("a conversation on a channel, as whole messages", async () => {
    const client = clientOf({ transport });
    const name = room();
    const channel = client.channel(name);
    await channel.emit("message", { role: "user", content: "Hello", id: "u1" });
    const run = await client.run({ messages: HELLO, channel: name, simulated: { tokens: 10, rate: 0 } });
    await run.done;
    const { items } = await channel.messages({ order: "oldest" });
    expect(items).toMatchObject([{ role: "user", content: "Hello" }, { role: "assistant", run: run.id, content: run.text }]);
  });

  test("a slow iterator keeps little, and gets everything in the end", async () => {
    const client = clientOf({ transport });
    const channel = client.channel(room());
    const watch = client.watch(channel.name, { from: "start", merge: false });
    const events = watch[Symbol.asyncIterator]();
    expect((await events.next()).value).toMatchObject({ type: "ready" });
    const batch = Array.from({ length: 1_000 }, (_, data) => ({ type: "chat:n", data }));
    const path = `v1/channels/${channel.name}/events`;
    for (let sent = 0; sent < 3; sent += 1) await client.call("POST", path, { body: batch });
    // Its queue is full, so it has let go of the connection.
    await until(() => client.status.get().state === "idle");
    const got: unknown[] = [];
    while (got.length < 3_000) {
      const { value } = await events.next();
      if (value!.type !== "ready") got.push(value!.data);
    }
    expect(got).toEqual([...batch, ...batch, ...batch].map(({ data }) => data));
    await events.return!();
  });

  test("a watch with callbacks, closed by a signal", async () => {
    const client = clientOf({ transport });
    const abort = new AbortController();
    const channel = client.channel(room());
    const types: string[] = [];
    const watch = client.watch(channel.name, { signal: abort.signal, onEvent: ({ type }) => types.push(type) });
    await until(() => types.length === 1);
    await channel.emit("chat:said", 1);
    await until(() => types.length === 2);
    expect(watch.position).toMatch(/-1$/);
    abort.abort();
    expect(client.status.get().state).toBe("idle");
    await channel.emit("chat:said", 2);
    expect(types).toEqual(["ready", "chat:said"]);
  });

  test("a connection that says nothing any more is left", async () => {
    const network = await networkTo(server.url);
    const client = clientOf({ url: network.url, transport, timeouts: { silence: 300, firstWord: 200 } });
    const run = await client.run({ messages: HELLO, simulated: { rate: 60, tokens: 60 } });
    await until(() => run.text);
    let hole = true;
    const before = network.connections;
    network.weather = { swallow: () => hole };
    network.cut();
    await until(() => network.connections > before + 1);
    hole = false;
    expect((await run.done).usage!.output_tokens).toBe(60);
  });
});

/** What a watcher makes of what it got, however it was merged. */
function assembled(events: TapeEvent[]): unknown[] {
  const story: { type: string; data: unknown }[] = [];
  for (const { type, data } of events) {
    const last = story.at(-1);
    if (type === "token" && last?.type === "token") last.data = `${last.data}${data}`;
    else story.push({ type, data });
  }
  return story;
}

test("presence: who is here, changes, and back after a cut", async () => {
  const network = await networkTo(server.url);
  const name = room();
  const ada = clientOf({ url: network.url, transport: "ws" }).channel(name);
  const bob = clientOf({ transport: "sse" }).channel(name);
  const seen = (): readonly Member[] => bob.presence.get();
  bob.presence.subscribe(() => {});
  await ada.presence.enter({ colour: "red" }, "ada");
  await until(() => seen().length === 1);
  expect(seen()).toEqual([{ id: "ada", data: { colour: "red" } }]);
  await ada.presence.enter({ colour: "blue" });
  await until(() => JSON.stringify(seen()).includes("blue"));
  const changes: string[] = [];
  bob.on("presence", ({ action, id }) => changes.push(`${action} ${id}`));
  network.cut();
  await until(() => changes.includes("leave ada") && changes.at(-1) === "join ada");
  expect(seen()).toEqual([{ id: "ada", data: { colour: "blue" } }]);
  ada.presence.leave();
  await until(() => seen().length === 0);
  await expect(bob.presence.enter()).rejects.toMatchObject({ code: "unsupported" });
});

test.each(["ws", "sse", "poll"] as const)("a channel that cannot be watched says so, over %s", async (transport) => {
  const channel = clientOf({ transport }).channel("no/such//name");
  const failure = await new Promise<TokentapeError | undefined>((resolve) => channel.on("end", resolve));
  expect(failure).toMatchObject({ code: "invalid_name" });
});

test("when the network is back, nothing waits", async () => {
  const told = new Map<string, () => void>();
  vi.stubGlobal("addEventListener", (name: string, handler: () => void) => told.set(name, handler));
  vi.stubGlobal("removeEventListener", (name: string) => told.delete(name));
  vi.stubGlobal("navigator", { onLine: true });
  onTestFinished(() => void vi.unstubAllGlobals());
  const network = await networkTo(server.url);
  const client = clientOf({ url: network.url, backoff: { base: 1e6, cap: 1e6 } });
  const channel = client.channel(room());
  const got: unknown[] = [];
  channel.on("chat:said", (data) => got.push(data));
  await until(() => client.status.get().state === "open");
  Object.assign(navigator, { onLine: false });
  network.cut();
  await until(() => client.status.get().state === "offline");
  expect(client.status.get().error).toMatchObject({ code: "unreachable" });
  Object.assign(navigator, { onLine: true });
  told.get("online")!();
  await until(() => client.status.get().state === "open");
  await channel.emit("chat:said", 1);
  await until(() => got.length === 1);
  client.close();
  expect(told.size).toBe(0);
});

test("all views of a page share one socket, and what is watched twice is one view", async () => {
  const network = await networkTo(server.url);
  const client = clientOf({ url: network.url, transport: "ws" });
  const names = [room(), room(), room()];
  const ready = new Set<string>();
  for (const name of names) client.channel(name).on("ready", () => ready.add(name));
  expect(client.channel(names[0]!)).toBe(client.channel(names[0]!));
  const again = client.channel(names[0]!).on("*", () => {});
  await until(() => ready.size === 3);
  expect(network.connections).toBe(1);
  again();
  expect(client.status.get().state).toBe("open");
  // The same stream from another position takes a socket of its own.
  const other = client.watch(names[0]!, { from: "start" })[Symbol.asyncIterator]();
  await other.next();
  expect(network.connections).toBe(2);
  await other.return!();
});

describe("auto", () => {
  function memory(): Memory & { kept: Map<string, string> } {
    const kept = new Map<string, string>();
    return { kept, getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) };
  }

  test("goes over to SSE where a WebSocket is blocked, and remembers", async () => {
    const network = await networkTo(server.url);
    network.weather = { refuse: isUpgrade };
    const kept = memory();
    const client = clientOf({ url: network.url, memory: kept });
    const run = await client.run({ messages: HELLO, simulated: { rate: 0, tokens: 10 } });
    expect((await run.done).state).toBe("stop");
    expect(client.status.get().transport).toBe("sse");
    expect([...kept.kept.values()]).toEqual(["sse"]);
    expect(clientOf({ url: network.url, memory: kept }).status.get().transport).toBe("sse");
  });

  test("goes over where none can be made, and says so where nothing else is wanted", async () => {
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

  test("goes over where a WebSocket opens and says nothing", async () => {
    const network = await networkTo(server.url);
    network.weather = { swallow: isUpgrade };
    const client = clientOf({ url: network.url, timeouts: { firstWord: 200 } });
    const run = await client.run({ messages: HELLO, simulated: { rate: 0, tokens: 10 } });
    expect((await run.done).state).toBe("stop");
    expect(client.status.get().transport).toBe("sse");
  });

  test("goes over to plain requests where nothing else comes through, and remembers", async () => {
    const network = await networkTo(server.url);
    network.weather = { refuse: isUpgrade, swallow: (head) => /accept: text\/event-stream/i.test(head) };
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

  test("goes over to a WebSocket where an event stream is held back", async () => {
    const network = await networkTo(server.url);
    network.weather = { swallow: (head) => /accept: text\/event-stream/i.test(head) };
    const kept = memory();
    kept.setItem(`tokentape ${network.url}`, "sse");
    const client = clientOf({ url: network.url, memory: kept, timeouts: { firstWord: 200 } });
    expect(client.status.get().transport).toBe("sse");
    const run = await client.run({ messages: HELLO, simulated: { rate: 0, tokens: 10 } });
    expect((await run.done).state).toBe("stop");
    expect(client.status.get().transport).toBe("ws");
  });
});

test("a server that was killed and comes back: the run ends, the channel goes on", async () => {
  const folder = await mkdtemp(join(tmpdir(), "tokentape-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const settings = { TOKENTAPE_STORE: `sqlite:///${join(folder, "tape.db")}` };
  const first = await startServer(settings);
  onTestFinished(() => first.kill());
  const client = clientOf({ url: first.url });
  const channel = client.channel(room());
  const said: unknown[] = [];
  channel.on("chat:said", (data) => said.push(data));
  channel.on("ready", ({ outcome }) => outcome === "live" && said.length === 0 && void channel.emit("chat:said", 1));
  const run = await client.run({ messages: HELLO, simulated: { rate: 50, tokens: 1_000 } });
  await until(() => run.text.length > 20 && said.length === 1);
  await first.kill();
  await until(() => client.status.get().state !== "open");
  const second = await startServer(settings, Number(new URL(first.url).port));
  onTestFinished(() => second.kill());
  const { state, content } = await run.done;
  expect(state).toBe("interrupted");
  const tape = await all(client.watch(run.stream));
  expect(tape.filter(({ type }) => type === "token").map(({ data }) => data).join("")).toBe(content);
  await channel.emit("chat:said", 2);
  await until(() => said.length === 2);
  expect(said).toEqual([1, 2]);
  // It was gone, not blocked.
  expect(client.status.get().transport).toBe("ws");
});

describe("a server with keys", () => {
  let locked: TokentapeServer;
  beforeAll(async () => {
    locked = await startServer({ TOKENTAPE_AUTH_API_KEYS: "sk-tape-0123456789abcdef0123456789abcdef" });
  });
  afterAll(() => locked.kill());

  test.each(["ws", "sse", "poll"] as const)("asks for another token when one is refused, over %s", async (transport) => {
    const asked: boolean[] = [];
    let stale = true;
    const token = (refresh: boolean): string => {
      asked.push(refresh);
      if (refresh) stale = false;
      return stale ? "old" : "sk-tape-0123456789abcdef0123456789abcdef";
    };
    const client = clientOf({ url: locked.url, transport, token });
    const watch = client.watch(room(), { from: "now" })[Symbol.asyncIterator]();
    expect((await watch.next()).value).toMatchObject({ type: "ready" });
    expect(asked.slice(0, 2)).toEqual([false, true]);
    const run = await client.run({ messages: HELLO, simulated: { rate: 0, tokens: 3 } });
    expect((await run.done).state).toBe("stop");
    await watch.return!();
  });

  test.each(["ws", "sse", "poll"] as const)("refuses one that stays wrong, over %s", async (transport) => {
    const client = clientOf({ url: locked.url, transport, token: "wrong" });
    await expect(all(client.watch("room"))).rejects.toMatchObject({ code: "unauthorized" });
    await expect(client.run({ messages: HELLO })).rejects.toMatchObject({ code: "unauthorized", status: 401 });
  });
});
