/**
 * A conversation on a channel, without React: everybody who has the channel open sees the same messages.
 *
 * All of it is events of the channel: what the user says (`message`), the answers (runs that speak on the channel), and
 * what takes something back (`chat:rewind`).
 */

import type { Client } from "../client.ts";
import { parseCursor } from "../cursor.ts";
import type { TokentapeError } from "../errors.ts";
import { randomId } from "../http.ts";
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
  /**
   * Mends what failed, and does nothing when nothing did: a request is sent again, and recorded once; an answer that
   * ended in an error, or was interrupted, is taken back and asked for again, and so is one that never came.
   */
  retry(): Promise<void>;
  /** Asks for the last answer again, however good it was, in place of the one that is there. */
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
  let state = LOADING;
  let error: TokentapeError | undefined;
  let isStale = false;
  let pending = 0;
  let failed: (() => Promise<unknown>) | undefined;
  // What was asked for last, and whether the server has it: the same again, with the same key, is no second run.
  let asked = { text: "", key: "" };
  let watch: Pick<Watch, "close" | "position"> | undefined;
  let watchers = 0;
  let isWatching = false;
  const arrivals = createListeners();

  const listeners = createListeners(
    () => {
      if (watchers++ > 0) return;
      isWatching = true;
      watch = client.watch(name, {
        from: watch?.position ?? "snapshot",
        onEvent(event) {
          transcript.apply(event);
          change();
          arrivals.tell();
        },
        onEnd(failure) {
          error = failure;
          change();
          leave();
        },
      });
    },
    () => {
      if (--watchers > 0) return;
      watch!.close();
      leave();
    },
  );

  function leave(): void {
    isWatching = false;
    arrivals.tell();
  }

  // What was said before something is known when that itself has come, also where the past was still on its way.
  async function arrival(cursor: string): Promise<void> {
    const { offset } = parseCursor(cursor)!;
    // `position` is the word `snapshot` until something has come.
    while (isWatching && (parseCursor(watch!.position)?.offset ?? 0) < offset) {
      await new Promise<void>((resolve) => {
        const forget = arrivals.add(() => {
          forget();
          resolve();
        });
      });
    }
  }

  function change(): void {
    isStale = true;
    listeners.tell();
  }

  // Made when somebody looks, not for each event: hundreds of them may come between two frames.
  function get(): ChatState {
    if (!isStale) return state;
    isStale = false;
    const messages = transcript.messages();
    const status = pending > 0 || messages.some(isRunning) ? "busy" : "ready";
    if (status !== state.status || messages !== state.messages || error !== state.error) state = { messages, status, error };
    return state;
  }

  // What fails is told to both: who asked, and who looks. All that is done here may be done again.
  async function act(work: () => Promise<unknown>): Promise<void> {
    pending += 1;
    failed = error = undefined;
    change();
    try {
      await work();
      error = undefined;
    } catch (failure) {
      failed = work;
      error = failure as TokentapeError;
      throw failure;
    } finally {
      pending -= 1;
      change();
    }
  }

  const running = (): Message | undefined => get().messages.findLast(isRunning);

  async function start(messages: readonly Message[], replaces?: string): Promise<void> {
    const said = messages.filter((message) => !isRunning(message)).map(({ role, content }) => ({ role, content }));
    const body = { ...ask()(said), channel: name, ...(replaces && { replaces }) };
    const text = JSON.stringify(body);
    if (asked.text !== text) asked = { text, key: randomId() };
    await client.call("POST", "v1/runs", { body, headers: { "Idempotency-Key": asked.key }, repeat: true });
    asked.text = "";
  }

  async function stop(): Promise<void> {
    const answer = running();
    if (answer) await client.attach(answer.run!).stop();
  }

  // With an id of its own, so that it is recorded once.
  async function say(id: string, content: unknown, before?: readonly Message[]): Promise<void> {
    const cursor = await channel.emit("message", { role: "user", content }, { id });
    if (!before) await arrival(cursor!);
    const said = (before ?? get().messages).filter((message) => message.id !== id);
    await start([...said, { id, role: "user", content }], before ? undefined : running()?.run);
  }

  // What there was before it stays. Nothing stays when it is the first one; of that the beginning may be forgotten.
  async function rewind(to = get().messages[0]): Promise<readonly Message[]> {
    await stop();
    const before = get().messages.filter(({ first }) => first! < to!.first!);
    await channel.emit("chat:rewind", { from: before[0] ? to!.first : 0 });
    return before;
  }

  async function regenerate(): Promise<void> {
    const last = get().messages.at(-1);
    await start(last?.run ? await rewind(last) : get().messages);
  }

  return {
    get,
    subscribe: listeners.add,
    send(content) {
      const id = randomId();
      return act(() => say(id, content));
    },
    stop: () => act(stop),
    retry() {
      const last = get().messages.at(-1);
      const isMissing = last && (last.run ? /^(error|interrupted)$/.test(last.state!) : last.role === "user" && !pending);
      return act(failed ?? (isMissing ? regenerate : async () => {}));
    },
    regenerate: () => act(regenerate),
    edit(message, content) {
      const id = randomId();
      let before: readonly Message[] | undefined;
      return act(async () => say(id, content, (before ??= await rewind(message))));
    },
    clear: () => act(rewind),
  };
}

function isRunning(message: Message): message is Answer {
  return message.state === "running";
}
