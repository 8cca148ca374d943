// `ws`, as people write it: a loop over the server's clients. permessage-deflate is off, which is its default.
import { WebSocket, WebSocketServer } from "ws";
import { obey, portArgument, ready } from "./control.js";

const server = new WebSocketServer({ host: "127.0.0.1", port: portArgument(), path: "/ws", backlog: 2048 }, () =>
  ready(server.address().port),
);
server.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
});

obey((text) => {
  const message = JSON.stringify({ text });
  for (const client of server.clients) {
    if (client.readyState === WebSocket.OPEN) client.send(message);
  }
});
