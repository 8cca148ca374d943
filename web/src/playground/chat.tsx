/** One conversation: its head, its messages, and where the next one is written. */

import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Message, RunRequest } from "tokentape";
import { useChat } from "tokentape/react";
import { newChat, openChat } from "./address.ts";
import { Announcer } from "./announcer.tsx";
import { ChatBar } from "./chat-bar.tsx";
import { Composer, type ComposerHandle } from "./composer.tsx";
import { createEditing } from "./editing.ts";
import { KeyMap } from "./key-map.tsx";
import { useKeys } from "./keys.ts";
import type { Actions } from "./message-row.tsx";
import { useModels } from "./models.ts";
import { forget, remember } from "./recent.ts";
import { requestFor } from "./request.ts";
import { settings } from "./settings.ts";
import { Thread, type ThreadHandle } from "./thread.tsx";
import { troubleOf } from "./trouble.ts";
import { Welcome } from "./welcome.tsx";
import "./chat.css";

/** Milliseconds that the messages on the screen may be behind, in a tab that nobody looks at. */
const BEHIND = 300;

export function Chat({ chat, onRun }: { chat: string; onRun: (run: string | undefined) => void }) {
  const { models, problem } = useModels();
  const given = useSyncExternalStore(settings.subscribe, settings.get);
  const ask = useCallback((messages: RunRequest["messages"]) => requestFor(models, given, messages), [models, given]);
  const { messages, status, error, send, stop, retry, regenerate, edit, clear } = useChat(chat, ask);
  const composer = useRef<ComposerHandle>(null);
  const thread = useRef<ThreadHandle>(null);
  const [isMapOpen, setMapOpen] = useState(false);
  const [editing] = useState(createEditing);
  // Whether what failed can be tried again as it was; what was not even recorded is back in the field instead.
  const [isMendable, setMendable] = useState(false);

  const run = messages.findLast((message) => message.run !== undefined && message.role === "assistant")?.run;
  useEffect(() => onRun(run), [run, onRun]);

  // The reason is shown from `error`.
  const attempt = useCallback((work: Promise<void>) => void work.then(() => setMendable(false), () => setMendable(true)), []);
  const say = useCallback(
    async (text: string): Promise<boolean> => {
      const times = (): number => latest.current.filter(({ role, content }) => role === "user" && content === text).length;
      const before = times();
      remember(chat, text);
      thread.current?.follow();
      setMendable(false);
      try {
        await send(text);
        return true;
      } catch {
        // What is on the screen may be a frame behind, or more where nobody looks.
        await new Promise((resolve) => setTimeout(resolve, BEHIND));
        const isRecorded = times() > before;
        setMendable(isRecorded);
        return isRecorded;
      }
    },
    [chat, send],
  );
  const latest = useRef<readonly Message[]>(messages);
  useEffect(() => {
    latest.current = messages;
  });

  const actions = useMemo<Actions>(
    () => ({
      again() {
        thread.current?.follow();
        attempt(regenerate());
      },
      editing,
      edit(message, text) {
        thread.current?.follow();
        composer.current?.rest();
        attempt(edit(message, text));
      },
      ask(text) {
        composer.current?.rest();
        void say(text);
      },
      before: (place) => latest.current.filter(({ first }) => first! < place),
    }),
    [attempt, regenerate, editing, edit, say],
  );
  const isBusy = status === "busy";
  const halt = useCallback(() => attempt(stop()), [attempt, stop]);
  const empty = useCallback(() => {
    forget(chat);
    composer.current?.rest();
    attempt(clear());
  }, [attempt, chat, clear]);
  const editLast = useCallback(() => {
    const last = latest.current.findLast(({ role }) => role === "user");
    if (!last || isBusy) return;
    thread.current?.follow();
    editing.begin(last);
  }, [editing, isBusy]);
  const openMap = useCallback(() => setMapOpen(true), []);
  useKeys({
    stop: isBusy ? halt : undefined,
    write: () => composer.current?.focus(),
    again: () => !isBusy && messages.length > 0 && actions.again(),
    fresh: () => openChat(newChat()),
    newest: () => thread.current?.follow(),
    map: openMap,
  });

  const trouble = problem ? troubleOf(problem) : error && troubleOf(error);
  return (
    <section className="chat card" aria-label="Chat">
      <ChatBar
        chat={chat}
        first={messages.find(({ role }) => role === "user")}
        isEmpty={messages.length === 0}
        isBusy={isBusy}
        onClear={empty}
        onMap={openMap}
      />
      {messages.length === 0 && status !== "loading" ? (
        <Welcome onAsk={actions.ask} />
      ) : (
        <Thread ref={thread} chat={chat} messages={messages} isLoading={status === "loading"} isBusy={isBusy} actions={actions} />
      )}
      {trouble && (
        <div className="trouble" role="alert">
          <p>
            <strong>{trouble.message}</strong> {trouble.advice} <code>{trouble.code}</code>
          </p>
          {!isBusy && ((error && isMendable) || messages.at(-1)?.role === "user") && (
            <button type="button" onClick={isMendable ? () => attempt(retry()) : actions.again}>
              Try again
            </button>
          )}
        </div>
      )}
      <Composer ref={composer} models={models} isBusy={isBusy} onSend={say} onStop={halt} onEditLast={editLast} />
      <Announcer messages={messages} isLoading={status === "loading"} />
      <KeyMap isOpen={isMapOpen} onClose={() => setMapOpen(false)} />
    </section>
  );
}
