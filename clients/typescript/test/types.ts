/** What the type checker must see, and what it must refuse. Nothing here runs. */

import { expectTypeOf } from "vitest";
import { type Answer, createClient, type Member, type Message, type Ready, type Run, type TapeEvent, TokentapeError, type Usage } from "../src/index.ts";
import { useChat, usePresence, useRun } from "../src/react/index.ts";

const client = createClient();

export async function runs(): Promise<void> {
  const run = await client.run({ messages: [{ role: "user", content: "Hello" }] });
  expectTypeOf(run).toEqualTypeOf<Run>();
  expectTypeOf(run.done).resolves.toEqualTypeOf<Answer>();
  for await (const event of run) {
    expectTypeOf(event).toEqualTypeOf<TapeEvent>();
    if (event.type === "token") expectTypeOf(event.data).toEqualTypeOf<string>();
    if (event.type === "ready") expectTypeOf(event.data).toEqualTypeOf<Ready>();
    if (event.type === "usage") expectTypeOf(event.data).toEqualTypeOf<Usage>();
    if (event.type === "chat:said") expectTypeOf(event.data).toEqualTypeOf<unknown>();
    // @ts-expect-error - no such type, and no colon
    if (event.type === "tokn") return;
  }
  // @ts-expect-error - messages are needed
  await client.run({});
  // @ts-expect-error - a field that the server refuses
  await client.run({ messages: [], temprtur: 1 });
  // @ts-expect-error - what was said is not for others to change
  run.answer.content = "";
}

export function channels(): void {
  const typed = client.channel<{ "chat:said": { text: string } }>("room");
  typed.on("chat:said", (data, event) => {
    expectTypeOf(data).toEqualTypeOf<{ text: string }>();
    expectTypeOf(event).toEqualTypeOf<TapeEvent>();
  });
  typed.on("token", (data) => expectTypeOf(data).toEqualTypeOf<string>());
  typed.on("*", (data, { type }) => {
    expectTypeOf(data).toEqualTypeOf<unknown>();
    expectTypeOf(type).toExtend<string>();
  });
  expectTypeOf(typed.emit("chat:said", { text: "hi" })).resolves.toEqualTypeOf<string | null>();
  // @ts-expect-error - not what it carries
  void typed.emit("chat:said", "hi");
  // @ts-expect-error - not one of its events
  typed.on("chat:other", () => {});
  client.channel("room").on("any:thing", (data) => expectTypeOf(data).toEqualTypeOf<unknown>());
}

export function watches(): void {
  const watch = client.watch("room", { from: "now" });
  expectTypeOf(watch[Symbol.asyncIterator]().next()).resolves.toExtend<IteratorResult<TapeEvent, void>>();
  const called = client.watch("room", { onEvent: (event) => expectTypeOf(event).toEqualTypeOf<TapeEvent>() });
  // @ts-expect-error - a watch with callbacks is not iterated
  called[Symbol.asyncIterator];
  createClient({ transport: "poll" });
  // @ts-expect-error - no such transport
  createClient({ transport: "carrier-pigeon" });
  expectTypeOf(new TokentapeError("gone", "It is gone.").code).toExtend<string>();
}

export function hooks(): void {
  const { messages, status, error, ...actions } = useChat("room", (messages) => ({ messages }));
  expectTypeOf(messages).toEqualTypeOf<readonly Message[]>();
  expectTypeOf(status).toEqualTypeOf<"loading" | "ready" | "busy">();
  expectTypeOf(error).toEqualTypeOf<TokentapeError | undefined>();
  expectTypeOf<keyof typeof actions>().toEqualTypeOf<"send" | "stop" | "retry" | "regenerate" | "edit" | "clear">();
  expectTypeOf(actions.retry()).resolves.toBeVoid();
  expectTypeOf(usePresence("room")).toEqualTypeOf<readonly Member[]>();
  expectTypeOf(useRun("r_1")).toEqualTypeOf<Run>();
  expectTypeOf(useRun(undefined as string | undefined)).toEqualTypeOf<Run | undefined>();
  // @ts-expect-error - what is asked for needs messages
  useChat("room", () => ({ model: "simulated" }));
}
