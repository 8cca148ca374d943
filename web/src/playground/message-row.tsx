/** One message: who said it, what, and what can be done about it. It is rendered anew when it changed, and only then. */

import { memo } from "react";
import type { Answer, Message } from "tokentape";
import { Markdown } from "../markdown/markdown.tsx";
import { AnswerBody } from "./answer.tsx";
import { textOf } from "./content.ts";
import type { Editing } from "./editing.ts";
import { UserMessage } from "./user-message.tsx";

export interface Actions {
  /** Asks for the last answer again. */
  again: () => void;
  /** What is being written in place of messages. */
  editing: Editing;
  /** Says something else in place of a message. */
  edit: (message: Message, text: string) => void;
  ask: (text: string) => void;
  /** What had been said before that place. */
  before: (first: number) => readonly Message[];
}

interface MessageRowProps {
  chat: string;
  message: Message;
  isLast: boolean;
  isBusy: boolean;
  actions: Actions;
}

export const MessageRow = memo(function MessageRow({ chat, message, isLast, isBusy, actions }: MessageRowProps) {
  if (message.role === "user") return <UserMessage message={message} isBusy={isBusy} actions={actions} />;
  if (message.run !== undefined && message.state !== undefined) {
    return <AnswerBody chat={chat} answer={message as Answer} isLast={isLast} isBusy={isBusy} actions={actions} />;
  }
  return (
    <article className="message" aria-label={message.role}>
      <p className="who">{message.role}</p>
      <Markdown text={textOf(message.content)} />
    </article>
  );
});
