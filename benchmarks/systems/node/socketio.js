// socket.io: clients join a room, events are emitted to it.
import { createServer } from "node:http";
import { Server } from "socket.io";
import { obey, portArgument, ready } from "./control.js";

const server = createServer();
// Defaults: perMessageDeflate is off (since 3.0), a heartbeat every 25 s. The client's own bundle is not served.
const io = new Server(server, { serveClient: false });
io.on("connection", (socket) => {
  socket.join("bench");
});

server.listen({ host: "127.0.0.1", port: portArgument(), backlog: 2048 }, () => ready(server.address().port));

obey((text) => {
  io.to("bench").emit("tick", { text });
});
