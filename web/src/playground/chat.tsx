/** One conversation: its head, its messages, and where the next one is written. */

import { useCallback, useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import type { Message, RunRequest } from "tokentape";
import { useChat } from "tokentape/react";
import { newChat, openChat } from "./address.ts";
import { Announcer } from "./announcer.tsx";
import { ChatBar } from "./chat-bar.tsx";
import { Composer, type ComposerHandle } from "./composer.tsx";
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

export function Chat({ chat, onRun }: { chat: string; onRun: (run: string | undefined) => void }) {
  const { models, problem } = useModels();
  const given = useSyncExternalStore(settings.subscribe, settings.get);
  const ask = useCallback((messages: RunRequest["messages"]) => requestFor(models, given, messages), [models, given]);
  const { messages, status, error, send, stop, regenerate, edit, clear } = useChat(chat, ask);
  const composer = useRef<ComposerHandle>(null);
  const thread = useRef<ThreadHandle>(null);
  const [isMapOpen, setMapOpen] = useState(false);

  const run = messages.findLast((message) => message.run !== undefined && message.role === "assistant")?.run;
  useEffect(() => onRun(run), [run, onRun]);

  // The reason is shown from `error`; what was typed comes back when it was not even recorded.
  const say = useCallback(
    async (text: string): Promise<boolean> => {
      remember(chat, text);
      thread.current?.follow();
      const count = latest.current.filter(({ role }) => role === "user").length;
      return send(text).then(
        () => true,
        () => latest.current.filter(({ role }) => role === "user").length > count,
      );
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
        void regenerate().catch(ignore);
      },
      edit(message, text) {
        thread.current?.follow();
        void edit(message, text).catch(ignore);
      },
      ask: (text) => void say(text),
      before: (answer) => latest.current.filter(({ first }) => first! < answer.first!),
    }),
    [regenerate, edit, say],
  );
  const isBusy = status === "busy";
  const halt = useCallback(() => void stop().catch(ignore), [stop]);
  const empty = useCallback(() => {
    forget(chat);
    void clear().catch(ignore);
  }, [chat, clear]);
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
          {!isBusy && messages.at(-1)?.role === "user" && (
            <button type="button" onClick={actions.again}>
              Try again
            </button>
          )}
        </div>
      )}
      <Composer ref={composer} models={models} isBusy={isBusy} onSend={say} onStop={halt} />
      <Announcer messages={messages} isLoading={status === "loading"} />
      <KeyMap isOpen={isMapOpen} onClose={() => setMapOpen(false)} />
    </section>
  );
}

// It is shown: the chat says it as its `error`.
function ignore(): void {}
