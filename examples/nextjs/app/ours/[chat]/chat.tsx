"use client";
import { memo } from "react";
import type { Message } from "tokentape";
import { useChat } from "tokentape/react";
import { Ask } from "../../ask";

export function Chat({ channel }: { channel: string }) {
  const { messages, status, error, send, stop } = useChat(channel);
  return (
    <>
      <ol aria-live="polite">
        {messages.map((message) => (
          <Line key={message.first} message={message} />
        ))}
      </ol>
      {error && <p role="alert">{error.message}</p>}
      <Ask busy={status === "busy"} ready={status !== "loading"} ask={send} stop={stop} />
    </>
  );
}

const Line = memo(({ message }: { message: Message }) => (
  <li data-role={message.role} data-state={message.state}>
    {String(message.content)}
  </li>
));
