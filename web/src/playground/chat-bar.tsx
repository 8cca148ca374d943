/** The head of a chat: which one, other ones, and what can be done with all of it. */

import { memo, useSyncExternalStore } from "react";
import type { Message } from "tokentape";
import { CopyButton } from "../app/copy-button.tsx";
import { TwiceButton } from "../app/twice-button.tsx";
import { newChat, openChat } from "./address.ts";
import { ChatsMenu } from "./chats-menu.tsx";
import { textOf } from "./content.ts";
import { recent } from "./recent.ts";
import { watchersShown } from "./view.ts";
import "./chat-bar.css";

interface ChatBarProps {
  chat: string;
  /** The first message of a person, if there is any message at all. */
  first: Message | undefined;
  isEmpty: boolean;
  isBusy: boolean;
  onClear: () => void;
  onMap: () => void;
}

export const ChatBar = memo(function ChatBar({ chat, first, isEmpty, isBusy, onClear, onMap }: ChatBarProps) {
  const known = useSyncExternalStore(recent.subscribe, recent.get);
  const areWatchersShown = useSyncExternalStore(watchersShown.subscribe, watchersShown.get);
  const title = known.find((entry) => entry.chat === chat)?.title ?? (first ? textOf(first.content).slice(0, 80) : "New chat");
  return (
    <header className="chat-bar">
      <h2 title={title}>{title}</h2>
      <ChatsMenu chat={chat} known={known} />
      <button type="button" className="quiet" title="A new chat (Alt+N)" onClick={() => openChat(newChat())}>
        New
      </button>
      {!isEmpty && (
        <>
          <span className="not-narrow">
            <CopyButton text={() => location.href} label="Copy the link to this chat" className="quiet">
              Link
            </CopyButton>
          </span>
          <TwiceButton
            label="Clear"
            again="Clear for all?"
            title="Take back all that was said here, for everybody"
            className="quiet"
            isDisabled={isBusy}
            onPress={onClear}
          />
        </>
      )}
      <button
        type="button"
        className="quiet not-narrow"
        aria-pressed={areWatchersShown}
        title="Show who watches these answers"
        onClick={() => watchersShown.set(!areWatchersShown)}
      >
        Watchers
      </button>
      <button type="button" className="quiet icon" aria-label="Keyboard map" title="Keyboard map (?)" onClick={onMap}>
        ?
      </button>
    </header>
  );
});
