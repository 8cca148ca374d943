// An answer from Anthropic's API, streamed with its SDK for Node.js.
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ apiKey: process.env.ANTHROPIC_API_KEY });

const stream = client.messages.stream({
  model: process.env.MODEL ?? "claude-sonnet-4-5",
  max_tokens: 1000,
  messages: [{ role: "user", content: "Why is the sky blue?" }],
});
stream.on("text", (text) => process.stdout.write(text));
await stream.finalMessage();
console.log();
