// Anthropic's SDK for Node.js, unmodified: the calls of one JSON line at a time, answered in the order in which they end.
import { createInterface } from "node:readline";
import Anthropic from "@anthropic-ai/sdk";

const streams = new Map();

async function carryOut({ op, name, baseURL, request, headers, id, characters }) {
  const client = new Anthropic({ apiKey: "key", baseURL, maxRetries: 0 });
  switch (op) {
    case "create":
      return { message: await client.messages.create(request, { headers }) };
    case "stream": {
      const stream = client.messages.stream(request, { headers });
      streams.set(name, stream);
      const message = await stream.finalMessage();
      return { message, text: await stream.finalText().catch(() => "") };
    }
    case "until": {
      const stream = streams.get(name);
      let said = stream.currentMessage?.content.map((block) => block.text ?? "").join("") ?? "";
      while (said.length < characters) said = await new Promise((resolve) => stream.once("text", (_, all) => resolve(all)));
      return { message: stream.currentMessage };
    }
    case "raw": {
      const kinds = [];
      for await (const event of await client.messages.create({ ...request, stream: true })) kinds.push(event.type);
      return { kinds };
    }
    case "again": {
      const kinds = [];
      for await (const event of await client.get(`/v1/messages/${id}/stream`, { stream: true })) kinds.push(event);
      return { events: kinds };
    }
    default:
      throw new Error(`unknown: ${op}`);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  carryOut(order).then(
    (answer) => console.log(JSON.stringify({ call: order.call, ...answer })),
    (error) =>
      console.log(
        JSON.stringify({
          call: order.call,
          error: {
            kind: error.constructor.name,
            api: error instanceof Anthropic.APIError,
            status: error.status ?? null,
            type: error.type ?? null,
            request: error.requestID ?? null,
            message: error.message,
          },
        }),
      ),
  );
}
