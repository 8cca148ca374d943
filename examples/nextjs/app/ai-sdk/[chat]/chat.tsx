"use client";
import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport, generateId, type UIMessage } from "ai";
import { memo, useState } from "react";
import { Ask } from "../../ask";
import { remember } from "./actions";

interface Props {
  id: string;
  url: string;
  channel: string;
  past: UIMessage[];
  running: string | undefined;
}

export function Chat({ id, url, channel, past, running }: Props) {
  const [transport] = useState(
    () =>
      new DefaultChatTransport({
        api: `${url}/api/chat`,
        // On the channel the answer is part of the conversation that the server keeps.
        body: { tokentape: { channel } },
        // The very run that `past` leaves out: it is played from its start, also when it ends before this page asks.
        prepareReconnectToStreamRequest: () => ({ api: `${url}/v1/runs/${running}/events?format=ai-sdk` }),
      }),
  );
  const resume = running !== undefined;
  const { messages, status, error, sendMessage } = useChat({ id, messages: past, transport, resume });

  const ask = async (text: string) => {
    const message = { id: generateId(), role: "user" as const, parts: [{ type: "text" as const, text }] };
    await remember(id, message.id, text);
    await sendMessage(message);
  };
  // The hook's own `stop` ends only this page's reading; this ends the answer, and keeps what it has said.
  const stop = () => fetch(`${url}/api/chat/${id}/stop`, { method: "POST" });

  return (
    <>
      <ol aria-live="polite">
        {messages.map((message) => (
          <Line key={message.id} message={message} />
        ))}
      </ol>
      {error && <p role="alert">{error.message}</p>}
      <Ask busy={status === "submitted" || status === "streaming"} ask={ask} stop={stop} />
    </>
  );
}

const Line = memo(({ message }: { message: UIMessage }) => (
  <li data-role={message.role}>{message.parts.map((part) => (part.type === "text" ? part.text : "")).join("")}</li>
));
