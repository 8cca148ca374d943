/** Views: where they begin, who reads slowly, who leaves, and what they share. */

import { describe, expect, test } from "vitest";
import { clientOf, networkTo, room, TRANSPORTS } from "./rig.ts";
import { until } from "./server.ts";

describe.each(TRANSPORTS)("over %s", (transport) => {
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
});

test("all views of a page share one socket, and what is watched twice is one view", async () => {
  const network = await networkTo();
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
