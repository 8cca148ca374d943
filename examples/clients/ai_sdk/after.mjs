// The same chat through tokentape: no route of one's own, and after a reload the answer goes on where it is.
import { DefaultChatTransport, readUIMessageStream } from "ai";

const transport = new DefaultChatTransport({ api: process.env.TOKENTAPE_URL + "/api/chat" });

const resumed = await transport.reconnectToStream({ chatId: "my-chat" }); // with React: `resume: true`
const stream = resumed ?? await transport.sendMessages({
  chatId: "my-chat",
  trigger: "submit-message",
  messages: [{ id: "1", role: "user", parts: [{ type: "text", text: "Why is the sky blue?" }] }],
});
let answer;
for await (answer of readUIMessageStream({ stream }));
console.log(answer.parts.map((part) => part.text ?? "").join(""));
