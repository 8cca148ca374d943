/** Runs: played, refused, stopped and interrupted, over each transport. */

import { describe, expect, test } from "vitest";
import { TokentapeError } from "../../src/index.ts";
import { all, assembled, clientOf, HELLO, room, stored, textOf, TRANSPORTS } from "./rig.ts";
import { until } from "./server.ts";

describe.each(TRANSPORTS)("over %s", (transport) => {
  test("a run is played to its end, with its events and its answer", async () => {
    const client = clientOf({ transport });
    const run = await client.run({ messages: HELLO, simulated: { rate: 500, tokens: 30 } });
    const events = await all(run);
    const answer = await run.done;
    expect(events.map(({ type }) => type)).toEqual(expect.arrayContaining(["ready", "start", "token", "done"]));
    expect(textOf(events)).toBe(run.text);
    expect(answer).toMatchObject({ role: "assistant", run: run.id, state: "stop", content: run.text });
    expect(answer.usage!.output_tokens).toBe(30);
    expect(run.status).toBe("done");
    // Who comes late gets the same, also through the run itself.
    expect(assembled(stored(await all(run)))).toEqual(assembled(stored(events)));
    const late = stored(await all(client.watch(run.stream, { merge: false })));
    expect(late.at(-1)!.cursor).toBe(run.cursor);
    expect(late.length).toBeGreaterThan(30);
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
});
