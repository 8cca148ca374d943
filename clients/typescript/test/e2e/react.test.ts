/** The hooks on a page, against a real server. */

import { expect, onTestFinished, test } from "vitest";
import { framesShown, h, memo, renderToString, show, StrictMode, useEffect } from "./page.ts";
import { type Client, createClient, type Message, type Run } from "../../src/index.ts";
import { TokentapeProvider, useChannel, useChat, useConnection, usePresence, useRun } from "../../src/react/index.ts";
import { clientOf, room } from "./rig.ts";
import { until } from "./server.ts";

function page(client: Client, component: () => React.ReactNode): { text(): string; remove(): void } {
  const shown = show(h(StrictMode, null, h(TokentapeProvider, { client }, h(component))));
  onTestFinished(shown.remove);
  return shown;
}

type Chat = ReturnType<typeof useChat>;

interface Tab {
  client: Client;
  chat(): Chat;
  text(): string;
  remove(): void;
  /** How often each message was painted. */
  painted: Map<string, number>;
}

/** A tab with a conversation, once it is there. */
async function tab(name: string, simulated: Record<string, unknown> = { tokens: 6, rate: 0 }): Promise<Tab> {
  const client = clientOf();
  const painted = new Map<string, number>();
  let chat: Chat | undefined;
  const Line = memo(({ message }: { message: Message }) => {
    const key = `${message.first}`;
    painted.set(key, (painted.get(key) ?? 0) + 1);
    return h("p", null, `${message.role}: ${String(message.content)};`);
  });
  const shown = page(client, () => {
    chat = useChat(name, (messages) => ({ messages, simulated }));
    return chat.messages.map((message) => h(Line, { key: message.first, message }));
  });
  await until(() => chat?.status === "ready");
  return { chat: () => chat!, painted, client, ...shown };
}

test("a conversation is the same in each tab, and after a reload", async () => {
  const name = room();
  const [one, two] = [await tab(name), await tab(name)];
  await one.chat().send("Hello");
  await until(() => one.chat().messages.at(-1)?.state === "stop" && two.text() === one.text());
  expect(one.text()).toMatch(/^user: Hello;assistant: .+;$/);
  await two.chat().send("And?");
  await until(() => one.chat().messages.length === 4 && one.chat().status === "ready" && two.text() === one.text());
  one.remove();
  await until(() => one.client.status.get().state === "idle");
  const again = await tab(name);
  await until(() => again.text() === two.text());
});

test("what is sent before the past has come is asked for with the past", async () => {
  const name = room();
  const one = await tab(name);
  await one.chat().send("Hello");
  await until(() => one.chat().messages.at(-1)?.state === "stop");
  const asked: string[][] = [];
  const states: string[] = [];
  let sent: Promise<void> | undefined;
  page(clientOf(), () => {
    const chat = useChat(name, (messages) => {
      asked.push(messages.map(({ role }) => role));
      return { messages, simulated: { tokens: 6, rate: 0 } };
    });
    useEffect(() => {
      states.push(chat.status);
      sent ??= chat.send("And?");
    }, []);
    return null;
  });
  await until(() => sent !== undefined);
  await sent;
  expect(states[0]).toBe("loading");
  expect(asked).toEqual([["user", "assistant", "user"]]);
});

test("stop, send in mid-answer, regenerate, edit, clear: on both tabs", async () => {
  const name = room();
  const settings = { tokens: 400, rate: 50 };
  const [one, two] = [await tab(name, settings), await tab(name)];
  const { send, stop, regenerate, edit, clear } = one.chat();
  await send("Hello");
  await until(() => String(two.chat().messages[1]?.content).length > 10);
  expect(two.chat().status).toBe("busy");
  await two.chat().stop();
  await until(() => one.chat().messages[1]?.state === "stopped" && one.chat().status === "ready");
  // Interrupted by the next question.
  await send("Go on");
  await until(() => String(one.chat().messages[3]?.content).length > 10);
  await send("Stop that");
  await until(() => one.chat().messages.length === 6 && one.chat().messages[3]?.state === "stopped");
  await stop();
  const before = one.chat().messages[5]!;
  Object.assign(settings, { tokens: 5, rate: 0 });
  await regenerate();
  await until(() => one.chat().messages[5]?.state === "stop" && one.chat().messages[5]?.run !== before.run);
  expect(one.chat().messages).toHaveLength(6);
  await edit(one.chat().messages[2]!, "Rather this");
  await until(() => two.chat().messages.length === 4 && two.chat().messages[3]?.state === "stop");
  await until(() => one.text() === two.text());
  expect(one.chat().messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
  expect(one.chat().messages[2]!.content).toBe("Rather this");
  await clear();
  await until(() => one.text() === "" && two.text() === "");
  expect(one.chat().send).toBe(send);
});

test("what fails is told, keeps its place, and is tried again without being said again", async () => {
  const name = room();
  const settings: Record<string, unknown> = { tokens: 5, rate: 0, fault: "no such fault" };
  const [one, two] = [await tab(name, settings), await tab(name, settings)];
  const { send, retry, regenerate } = one.chat();
  // A request that is refused.
  await expect(send("Hello")).rejects.toMatchObject({ code: "bad_request" });
  await until(() => one.chat().error?.code === "bad_request");
  expect(one.chat().messages).toMatchObject([{ content: "Hello" }]);
  await expect(retry()).rejects.toMatchObject({ code: "bad_request" });
  // An answer that fails.
  Object.assign(settings, { fault: "error@4", tokens: 20 });
  await retry();
  await until(() => one.chat().messages.at(-1)?.state === "error" && one.chat().status === "ready");
  expect(one.chat().messages).toMatchObject([{ content: "Hello" }, { role: "assistant", error: {} }]);
  // By somebody who has not seen it fail.
  delete settings.fault;
  await two.chat().retry();
  await until(() => one.chat().messages.at(-1)?.state === "stop" && one.chat().status === "ready");
  const [question, answer, ...more] = one.chat().messages;
  expect([question!.content, answer!.error, more]).toEqual(["Hello", undefined, []]);
  // What went well is not tried again, unless one asks for another answer.
  await retry();
  await regenerate();
  await until(() => one.chat().messages[1]?.state === "stop" && one.chat().messages[1]?.run !== answer!.run);
  const { items } = await one.client.channel(name).history({ limit: 1_000 });
  const types = items.map(({ event }) => event.type);
  expect(types.filter((type) => type === "message")).toHaveLength(1);
  expect(types.filter((type) => type === "chat:rewind")).toHaveLength(2);
  // Whoever asks the server sees the same conversation.
  const past = await one.client.channel(name).messages({ order: "oldest" });
  expect(past.items.map(({ first, content }) => [first, content])).toEqual(one.chat().messages.map(({ first, content }) => [first, content]));
});

test("while an answer streams only it is painted, at most once per frame", async () => {
  const name = room();
  const { chat, painted } = await tab(name, { tokens: 300, rate: 500 });
  await chat().send("Hello");
  await until(() => chat().messages.at(-1)?.state === "stop");
  await until(() => chat().status === "ready");
  const [question, answer] = chat().messages;
  // StrictMode renders twice.
  expect(painted.get(`${question!.first}`)).toBe(2);
  const times = painted.get(`${answer!.first}`)! / 2;
  expect(times).toBeGreaterThan(3);
  expect(times).toBeLessThanOrEqual(framesShown() + 1);
  expect(times).toBeLessThan(150);
});

test("a run, shared by two components, through one connection", async () => {
  const client = clientOf();
  const { id } = await client.call<{ id: string }>("POST", "v1/runs", {
    body: { messages: [{ role: "user", content: "Hello" }], simulated: { tokens: 10_000, rate: 100 } },
  });
  const runs = new Set<Run>();
  function Text(): string {
    const run = useRun(id);
    runs.add(run);
    return `[${run.status} ${run.text}]`;
  }
  function State(): string {
    const { state, transport } = useConnection();
    return `${state} ${transport}`;
  }
  const shown = page(client, () => [h(Text, { key: 1 }), h(Text, { key: 2 }), h(State, { key: 3 })]);
  await until(() => /^\[running .+\]open ws$/.test(shown.text()));
  await client.attach(id).stop();
  await until(() => /^\[done (.+)\]\[done \1\]idle ws$/.test(shown.text()));
  expect(runs.size).toBe(1);
});

test("handlers of a channel, and who is there", async () => {
  const name = room();
  const got: unknown[] = [];
  const shown = page(clientOf(), () => {
    const channel = useChannel<{ "chat:said": string }>(name, { "chat:said": (data) => got.push(data), "*": (_, { type }) => got.push(type) });
    const members = usePresence(name, { id: "ada", data: { colour: "red" } });
    return h("button", { onClick: () => void channel.emit("chat:said", "hi") }, members.map(({ id }) => id).join());
  });
  await until(() => shown.text() === "ada");
  const other = clientOf().channel<{ "chat:said": string }>(name);
  await other.emit("chat:said", "from elsewhere");
  await until(() => got.includes("from elsewhere"));
  expect(got).toContain("chat:said");
  expect(await other.presence.list()).toEqual([{ id: "ada", data: { colour: "red" } }]);
  shown.remove();
  for (let left = false; !left; left = (await other.presence.list()).length === 0);
});

test("on a server they render what is known there: nothing yet", () => {
  const client = createClient({ url: "/tape" });
  const html = renderToString(
    h(TokentapeProvider, { client }, h(() => {
      const { messages, status } = useChat("room");
      const run = useRun("r_1");
      return `${status} ${messages.length} ${run.status} ${usePresence("room").length} ${useConnection().state}`;
    })),
  );
  expect(html).toBe("loading 0 queued 0 idle");
});

test("without a provider a hook says what is missing", () => {
  expect(() => renderToString(h(() => useConnection().state))).toThrow("TokentapeProvider");
});
