// Chats of the AI SDK, versions 5, 6 and 7, as unmodified clients: told what to do by JSON lines, and answering with them.
//
// {call, chat, op, …} is answered by {call, …}. A chat is made by `open`; `send`, `resume` and `until` answer when they
// are through, so several may be under way at once.
import { createInterface } from "node:readline";
import * as ai5 from "ai5";
import * as ai6 from "ai6";
import * as ai7 from "ai7";

const SDKS = { 5: ai5, 6: ai6, 7: ai7 };
const chats = new Map();

/** What a framework keeps of a chat (React's, for instance, in its store). */
class State {
  status = "ready";
  error = undefined;
  messages;
  constructor(messages) {
    this.messages = messages;
  }
  pushMessage = (message) => {
    this.messages = this.messages.concat(message);
  };
  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };
  replaceMessage = (index, message) => {
    this.messages = this.messages.toSpliced(index, 1, this.snapshot(message));
  };
  snapshot = (value) => structuredClone(value);
}

function open({ chat, id, version, url, socket, headers, body, messages = [] }) {
  const sdk = SDKS[version];
  const options = { headers, body };
  const transport = socket
    ? new sdk.WebSocketChatTransport({ url, ...options })
    : new sdk.DefaultChatTransport({ api: url, ...options });
  const heard = { data: [], finished: [], waiting: new Set() };
  const state = new State(messages);
  for (const name of ["pushMessage", "replaceMessage"]) {
    const change = state[name];
    state[name] = (...given) => {
      change(...given);
      for (const look of heard.waiting) look();
    };
  }
  class Chat extends sdk.AbstractChat {}
  const made = new Chat({
    id,
    transport,
    state,
    onData: (part) => heard.data.push(part),
    onFinish: ({ isAbort, isDisconnect, isError, finishReason }) =>
      heard.finished.push({ isAbort, isDisconnect, isError, finishReason }),
  });
  chats.set(chat, { made, state, heard, transport, sdk });
  return {};
}

function seen({ made, state, heard }) {
  const { error } = made;
  return {
    status: made.status,
    error: error && {
      name: error.name,
      message: error.message,
      status: error.statusCode ?? null,
      kind: error.constructor.name,
    },
    messages: state.messages,
    data: heard.data,
    finished: heard.finished,
  };
}

const text = (message) =>
  (message?.parts ?? []).map((part) => (part.type === "text" ? part.text : "")).join("");

/** Waits until the last message has so many characters. */
function until({ state, heard }, characters) {
  return new Promise((resolve) => {
    const look = () => {
      if (state.messages.at(-1)?.role === "assistant" && text(state.messages.at(-1)).length >= characters) {
        heard.waiting.delete(look);
        resolve();
      }
    };
    heard.waiting.add(look);
    look();
  });
}

async function carryOut(order) {
  if (order.op === "open") return open(order);
  const chat = chats.get(order.chat);
  const { made } = chat;
  switch (order.op) {
    case "send":
      await made.sendMessage(order.message ?? { text: order.text });
      break;
    case "regenerate":
      await made.regenerate();
      break;
    case "resume":
      await made.resumeStream();
      break;
    case "output":
      await made.addToolOutput({ tool: order.tool, toolCallId: order.toolCallId, output: order.output });
      await made.sendMessage();
      break;
    case "until":
      await until(chat, order.characters);
      break;
    case "stop":
      await made.stop();
      break;
    case "close":
      chat.transport.close();
      break;
    case "read":
      return readAll(chat, order.chunks);
    default:
      throw new Error(`unknown: ${order.op}`);
  }
  return seen(chat);
}

/** Reads chunks as `readUIMessageStream` does, which is how servers and agents consume a chat. */
async function readAll({ sdk }, chunks) {
  const stream = new ReadableStream({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
  let last = null;
  const errors = [];
  for await (const message of sdk.readUIMessageStream({ stream, onError: (error) => errors.push(error.message) })) {
    last = message;
  }
  return { message: last, errors };
}

for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line);
  Promise.resolve(order).then(carryOut).then(
    (answer) => console.log(JSON.stringify({ call: order.call, ...answer })),
    (error) => console.log(JSON.stringify({ call: order.call, failed: `${error?.stack ?? error}` })),
  );
}
