// A Vite application, and its worker: both play against the server behind the application's own origin.

import { createElement as h } from "react";
import { createRoot } from "react-dom/client";
import { createClient } from "tokentape";
import { TokentapeProvider, useChat } from "tokentape/react";
import { play } from "./play.mjs";

const client = createClient();

function Chat() {
  const { messages, status, send } = useChat("rooms/vite", (messages) => ({ messages, simulated: { tokens: 5, rate: 0 } }));
  window.send = send;
  return h("p", null, status, ...messages.map(({ role, content }) => ` ${role}: ${content};`));
}

createRoot(document.querySelector("#root")).render(h(TokentapeProvider, { client }, h(Chat)));
window.play = play;
window.playInWorker = (url, options) =>
  new Promise((resolve, reject) => {
    const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = ({ message }) => reject(new Error(message));
    worker.postMessage([url, options]);
  });
document.title = "loaded";
