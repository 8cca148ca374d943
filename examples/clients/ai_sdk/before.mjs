// A chat of the Vercel AI SDK against a route of one's own. With React it is `useChat({ transport })`.
import { DefaultChatTransport, readUIMessageStream } from "ai";

const transport = new DefaultChatTransport({ api: process.env.APP_URL + "/api/chat" });

const stream = await transport.sendMessages({
  chatId: "my-chat",
  trigger: "submit-message",
  messages: [{ id: "1", role: "user", parts: [{ type: "text", text: "Why is the sky blue?" }] }],
});
let answer;
for await (answer of readUIMessageStream({ stream }));
console.log(answer.parts.map((part) => part.text ?? "").join(""));
