// A chat of TanStack AI against a back end of one's own. With React it is `useChat({ connection, threadId })`.
import { ChatClient, fetchServerSentEvents } from "@tanstack/ai-client";

const chat = new ChatClient({
  connection: fetchServerSentEvents(process.env.APP_URL + "/chat"),
  threadId: "support-42",
});
await chat.sendMessage("Why is the sky blue?");
const { parts } = chat.getMessages().at(-1);
console.log(parts.map((part) => part.content ?? "").join(""));
