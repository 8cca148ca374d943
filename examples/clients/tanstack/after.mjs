// The same chat through tokentape: it resumes by itself after a cut and, with `persistence`, after a reload.
import { ChatClient, fetchServerSentEvents } from "@tanstack/ai-client";

const chat = new ChatClient({
  connection: fetchServerSentEvents(process.env.TOKENTAPE_URL + "/ag-ui"),
  threadId: "support-42",
  persistence: true,
});
await chat.sendMessage("Why is the sky blue?");
const { parts } = chat.getMessages().at(-1);
console.log(parts.map((part) => part.content ?? "").join(""));
