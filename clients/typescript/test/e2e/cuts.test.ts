/** Networks that cut, fall silent or go away, and a server that is killed: nothing is lost or repeated. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { all, assembled, clientOf, HELLO, networkTo, room, stored, textOf, TRANSPORTS } from "./rig.ts";
import { startServer, until } from "./server.ts";

describe.each(TRANSPORTS)("over %s", (transport) => {
  test("cut at random bytes, nothing is lost or repeated (P1, P2)", async () => {
    const network = await networkTo();
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
    const network = await networkTo();
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
    expect(textOf(tape)).toBe(content);
  });

  test("a connection that says nothing any more is left", async () => {
    const network = await networkTo();
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

test("when the network is back, nothing waits", async () => {
  const told = new Map<string, () => void>();
  vi.stubGlobal("addEventListener", (name: string, handler: () => void) => told.set(name, handler));
  vi.stubGlobal("removeEventListener", (name: string) => told.delete(name));
  vi.stubGlobal("navigator", { onLine: true });
  onTestFinished(() => void vi.unstubAllGlobals());
  const network = await networkTo();
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
  expect(textOf(tape)).toBe(content);
  await channel.emit("chat:said", 2);
  await until(() => said.length === 2);
  expect(said).toEqual([1, 2]);
  // It was gone, not blocked.
  expect(client.status.get().transport).toBe("ws");
});
