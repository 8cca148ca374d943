/**
 * A conversation on a channel, without React: everybody who has the channel open sees the same messages.
 *
 * All of it is events of the channel: what the user says (`message`), the answers (runs that speak on the channel), and
 * what takes something back (`chat:rewind`: everything from that offset on, as far as it was there, is void).
 */

import type { Client } from "../client.ts";
import { parseCursor } from "../cursor.ts";
import type { TokentapeError } from "../errors.ts";
import type { TapeEvent } from "../events.ts";
import type { RunRequest } from "../run.ts";
import { createListeners, type Subscribable } from "../subscribable.ts";
import { type Answer, createTranscript, type Message } from "../transcript.ts";
import type { Watch } from "../watch.ts";

export interface ChatState {
  /** Each is a new object when it changes, and only then. The last one may be an answer that is still being given. */
  readonly messages: readonly Message[];
  /** `loading` until the past is there, `busy` from a question to the end of its answer. */
  readonly status: "loading" | "ready" | "busy";
  /** Why the last request failed. An answer that failed has its error in the message. */
  readonly error: TokentapeError | undefined;
}

export interface Chat extends Subscribable<ChatState> {
  /** Says something, and asks for an answer. While one is being given, it is interrupted. */
  send(content: unknown): Promise<void>;
  /** Stops the answer that is being given; what was said of it stays. */
  stop(): Promise<void>;
  /** Asks for the last answer again, in place of the one that is there. */
  regenerate(): Promise<void>;
  /** Says something else in place of one of the user's messages; what came after it is taken back. */
  edit(message: Message, content: unknown): Promise<void>;
  /** Takes everything back. */
  clear(): Promise<void>;
}

/** What to ask for, given the conversation up to now. */
export type Ask = (messages: RunRequest["messages"]) => RunRequest;

export const LOADING: ChatState = { messages: [], status: "loading", error: undefined };

export function createChat(client: Client, name: string, ask: () => Ask): Chat {
  const channel = client.channel(name);
  const transcript = createTranscript();
  let rewinds: { from: number; to: number }[] = [];
  let state = LOADING;
  let pending = 0;
  let watch: Pick<Watch, "close" | "position"> | undefined;
  let watchers = 0;

  const listeners = createListeners(
    () => {
      if (watchers++ === 0) watch = client.watch(name, { from: watch?.position ?? "snapshot", onEvent: take, onEnd: (error) => show({ error }) });
    },
    () => {
      if (--watchers === 0) watch!.close();
    },
  );

  function take(event: TapeEvent): void {
    if (event.type === "ready" && /gone|snapshot/.test(event.data.outcome)) rewinds = [];
    if (event.type === "chat:rewind") {
      const { from } = event.data as { from: number };
      rewinds.push({ from, to: parseCursor(event.cursor)!.offset });
    }
    transcript.apply(event);
    const shown = transcript.messages().filter(({ first }) => !rewinds.some(({ from, to }) => first! >= from && first! < to));
    show({ messages: shown.every((message, place) => message === state.messages[place]) && shown.length === state.messages.length ? state.messages : shown });
  }

  function show(change: Partial<ChatState>): void {
    const next = { ...state, ...change };
    const status = pending > 0 || next.messages.some(isRunning) ? "busy" : "ready";
    if (status === state.status && next.messages === state.messages && next.error === state.error) return;
    state = { ...next, status };
    listeners.tell();
  }

  // One thing after the other, and what fails is told to both: who asked, and who looks.
  async function act(work: () => Promise<unknown>): Promise<void> {
    pending += 1;
    show({ error: undefined });
    let error: TokentapeError | undefined;
    try {
      await work();
    } catch (failure) {
      error = failure as TokentapeError;
      throw failure;
    } finally {
      pending -= 1;
      show({ error });
    }
  }

  const running = (): Message | undefined => state.messages.findLast(isRunning);

  async function start(messages: readonly Message[], replaces?: string): Promise<void> {
    const said = messages.filter((message) => !isRunning(message)).map(({ role, content }) => ({ role, content }));
    const body = { ...ask()(said), channel: name, ...(replaces && { replaces }) };
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-");
    await client.call("POST", "v1/runs", { body, headers: { "Idempotency-Key": key }, repeat: true });
  }

  async function stop(): Promise<void> {
    const answer = running();
    if (answer) await client.attach(answer.run!).stop();
  }

  async function say(content: unknown, before: readonly Message[], replaces?: string): Promise<void> {
    await channel.emit("message", { role: "user", content });
    await start([...before, { id: null, role: "user", content }], replaces);
  }

  // Up to this message, exclusive; nothing that is said after this is void.
  async function rewind(to: Message | undefined): Promise<readonly Message[]> {
    await stop();
    await channel.emit("chat:rewind", { from: to?.first ?? 0 });
    return to ? state.messages.filter(({ first }) => first! < to.first!) : [];
  }

  return {
    get: () => state,
    subscribe: listeners.add,
    send: (content) => act(() => say(content, state.messages, running()?.run)),
    stop: () => act(stop),
    regenerate: () =>
      act(async () => {
        const last = state.messages.at(-1);
        await start(last?.run ? await rewind(last) : state.messages);
      }),
    edit: (message, content) => act(async () => say(content, await rewind(message))),
    clear: () => act(() => rewind(undefined)),
  };
}

function isRunning(message: Message): message is Answer {
  return message.state === "running";
}
