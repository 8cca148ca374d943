// Watches a run over a WebSocket, with the `tokentape.v1` subprotocol. Same shape as watch-sse.js:
//
//   const close = watchWebSocket("r_8c1…", "start", handlers);
//
// A WebSocket does not reconnect by itself, and does not notice a network that silently went away: both are here.

import { API } from "./api.js";
import { backoff } from "./retry.js";

const SUBSCRIBE = "subscribe"; // the ids of our two requests, by which their answers are told apart
const PING = "ping";
const PING_MS = 10_000;
const SILENCE_MS = 30_000;

// PROTOCOL.md §4: these say that the same attempt would fail again.
const FINAL_CODES = new Set([1002, 1003, 1007, 1008, 1009]);
const isFinal = (code) => FINAL_CODES.has(code) || (code >= 3500 && code <= 3999);

export function watchWebSocket(run, from, handlers) {
  const stream = `runs/${run}`;
  let socket;
  let timer;
  let pulse;
  let heard = 0;
  let cursor = from;
  let attempt = 0;

  function connect() {
    const url = new URL("ws", API);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    socket = new WebSocket(url, "tokentape.v1");
    socket.onopen = subscribe;
    socket.onmessage = receive;
    socket.onclose = ({ code, reason }) => (isFinal(code) ? fail(reason || `closed with ${code}`) : retry());
    heard = performance.now();
    pulse = setInterval(keepAlive, PING_MS);
  }

  function subscribe() {
    // One socket can carry many streams; this page uses one socket per pane, to cut each on its own.
    send({ op: "subscribe", id: SUBSCRIBE, stream, from: cursor });
    handlers.opened();
  }

  function receive({ data }) {
    heard = performance.now();
    const message = JSON.parse(data);
    switch (message.op) {
      case "ack": // of `subscribe`: how the view begins
        if (message.id === SUBSCRIBE) begin(message.data);
        break;
      case "ready": // it starts over, in mid-watch
        begin(message.data);
        break;
      case "event":
        cursor = message.cursor ?? cursor; // what is not stored has no cursor
        handlers.event(message.event, message.cursor ?? null);
        break;
      case "end":
        close();
        handlers.ended();
        break;
      case "error":
        if (message.error.retryable) retry();
        else fail(message.error.message);
        break;
      // A later version may say more.
    }
  }

  function begin(data) {
    attempt = 0;
    cursor = data.cursor;
    handlers.ready(data);
  }

  function keepAlive() {
    if (performance.now() - heard > SILENCE_MS) retry();
    else if (socket.readyState === WebSocket.OPEN) send({ op: "ping", id: PING });
  }

  function retry() {
    release();
    handlers.lost("connection lost");
    timer = setTimeout(connect, backoff(attempt));
    attempt += 1;
  }

  function fail(why) {
    close();
    handlers.failed(why);
  }

  function close() {
    clearTimeout(timer);
    release();
  }

  // The close handshake needs the other side, which may be unreachable: whatever still comes is not for us.
  function release() {
    clearInterval(pulse);
    socket.onmessage = socket.onclose = null;
    if (socket.readyState === WebSocket.CONNECTING) {
      // Closing it now would have the browser warn of a failed connection, which it is not.
      socket.onopen = ({ target }) => target.close();
    } else {
      socket.onopen = null;
      socket.close();
    }
  }

  function send(message) {
    socket.send(JSON.stringify(message));
  }

  connect();
  return close;
}
