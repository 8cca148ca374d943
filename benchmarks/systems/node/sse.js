// Plain Server-Sent Events on node:http, as people write it: a loop over the open responses.
import { createServer } from "node:http";
import { obey, portArgument, ready } from "./control.js";

const responses = new Set();

const server = createServer((request, response) => {
  if (!request.url.startsWith("/events")) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    Connection: "keep-alive",
  });
  response.write(": connected\n\n");
  responses.add(response);
  response.on("close", () => responses.delete(response));
});

server.listen({ host: "127.0.0.1", port: portArgument(), backlog: 2048 }, () => ready(server.address().port));

obey((text, seq) => {
  const event = `id: ${seq}\ndata: ${JSON.stringify({ text })}\n\n`;
  for (const response of responses) response.write(event);
});
