// An answer through tokentape, streamed with Anthropic's SDK for Node.js; a run outlives the connection that asked for it.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ apiKey: process.env.TOKENTAPE_KEY, baseURL: process.env.TOKENTAPE_URL });

const stream = client.messages.stream({
  model: process.env.MODEL ?? "claude-sonnet-4-5",
  max_tokens: 1000,
  messages: [{ role: "user", content: "Why is the sky blue?" }],
});
stream.on("text", (text) => process.stdout.write(text));
await stream.finalMessage();
console.log();
