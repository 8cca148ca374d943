/** Channels: what is published, by whom, in which order, and who is here. */

import { describe, expect, onTestFinished, test } from "vitest";
import { type Member, type TokentapeError } from "../../src/index.ts";
import { clientOf, networkTo, room, TRANSPORTS } from "./rig.ts";
import { until } from "./server.ts";

describe.each(TRANSPORTS)("over %s", (transport) => {
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
});

test("presence: who is here, changes, and back after a cut", async () => {
  const network = await networkTo();
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

test.each(TRANSPORTS)("a channel that cannot be watched says so, over %s", async (transport) => {
  const channel = clientOf({ transport }).channel("no/such//name");
  const failure = await new Promise<TokentapeError | undefined>((resolve) => channel.on("end", resolve));
  expect(failure).toMatchObject({ code: "invalid_name" });
});
