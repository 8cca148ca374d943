import { memo } from "react";
import type { Message } from "tokentape";
import { useChat, useConnection } from "tokentape/react";

export function Chat({ channel }: { channel: string }) {
  const { messages, status, error, send, stop, regenerate } = useChat(channel);
  const { state } = useConnection();
  return (
    <main>
      <ol aria-live="polite" aria-busy={status === "busy"}>
        {messages.map((message) => (
          <Line key={message.first} message={message} />
        ))}
      </ol>
      {error && <p role="alert">{error.message}</p>}
      <form action={(form) => void ignore(send(form.get("question")))}>
        <input name="question" aria-label="Question" autoComplete="off" required autoFocus />
        <button disabled={status === "loading"}>Send</button>
        {status === "busy" ? (
          <button type="button" onClick={() => void ignore(stop())}>
            Stop
          </button>
        ) : (
          <button type="button" disabled={messages.length === 0} onClick={() => void ignore(regenerate())}>
            Again
          </button>
        )}
      </form>
      {(state === "waiting" || state === "offline") && <p role="status">Connection lost; the answer goes on.</p>}
    </main>
  );
}

/** A message keeps its object until it changes, so a finished one is not rendered again while another one grows. */
const Line = memo(({ message }: { message: Message }) => (
  <li data-role={message.role} data-state={message.state}>
    {String(message.content)}
    {message.error && <em>{message.error.message}</em>}
  </li>
));

/** What fails is in `error` already. */
function ignore(action: Promise<void>): Promise<void> {
  return action.catch(() => {});
}
