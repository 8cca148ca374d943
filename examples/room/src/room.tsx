import { memo } from "react";
import type { Message } from "tokentape";
import { useChat, usePresence } from "tokentape/react";
import { useTyping } from "./typing.ts";

/** One conversation, and everybody who is here: all of it lives on one channel. */
export function Room({ name, me }: { name: string; me: string }) {
  const channel = `rooms/${name}`;
  const { messages, status, error, send, stop } = useChat(channel);
  const members = usePresence(channel, { id: me });
  const { typing, tell } = useTyping(channel, me);

  // The model, too, sees who says what.
  const say = (form: FormData) => void send(`${me}: ${form.get("text")}`).catch(() => {});

  return (
    <main>
      <ul aria-label="Here">
        {members.map(({ id }) => (
          <li key={id}>{id}</li>
        ))}
      </ul>
      <ol aria-live="polite" aria-busy={status === "busy"}>
        {messages.map((message) => (
          <Line key={message.first} message={message} />
        ))}
      </ol>
      <p role="status">{typing.length > 0 && `${typing.join(", ")} …`}</p>
      {error && <p role="alert">{error.message}</p>}
      <form action={say}>
        <input name="text" aria-label="Say" autoComplete="off" required autoFocus onInput={tell} />
        <button>Say</button>
        <button type="button" disabled={status !== "busy"} onClick={() => void stop().catch(() => {})}>
          Stop
        </button>
      </form>
    </main>
  );
}

const Line = memo(({ message }: { message: Message }) => (
  <li data-role={message.role} data-state={message.state}>
    {String(message.content)}
  </li>
));
