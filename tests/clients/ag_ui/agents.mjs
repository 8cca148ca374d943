// Real AG-UI agents and TanStack AI chats, told what to do by JSON lines on stdin: {id, op, ...}.
// Each answers with {id, text} whenever its text has grown, and at last with {id, done: {...}}.
import { createInterface } from "node:readline";
import { HttpAgent } from "@ag-ui/client";
import { ChatClient, fetchServerSentEvents } from "@tanstack/ai-client";

const say = (value) => process.stdout.write(JSON.stringify(value) + "\n");
const running = new Map();

const told = (error) => error && { name: error.name, message: error.message, code: error.code ?? error.payload?.code };

function recording() {
  const requests = [];
  const recordingFetch = async (url, init) => {
    const request = { method: init?.method ?? "GET", lastEventId: new Headers(init?.headers).get("last-event-id") };
    requests.push(request);
    const response = await fetch(url, init);
    request.status = response.status;
    request.run = response.headers.get("tokentape-run");
    return response;
  };
  return { requests, recordingFetch };
}

// AG-UI: one run of an agent, to its end.
async function agent({ id, url, threadId, runId, messages = [], tools, forwardedProps }) {
  const { requests, recordingFetch } = recording();
  const events = [];
  let failed, cancelled;
  const client = new HttpAgent({ url, threadId, initialMessages: messages, fetch: recordingFetch });
  running.set(id, { stop: () => client.abortRun() });
  try {
    await client.runAgent({ runId, tools, forwardedProps }, {
      onEvent: ({ event }) => { events.push(event); },
      onTextMessageContentEvent: ({ event, textMessageBuffer }) => say({ id, text: textMessageBuffer + event.delta }),
      onRunErrorEvent: ({ event }) => { failed = { code: event.code, message: event.message }; },
      onRunFinishedEvent: ({ outcome }) => { cancelled = outcome === "cancelled"; },
    });
    say({ id, done: { messages: client.messages, types: events.map((event) => event.type), failed, cancelled, requests } });
  } catch (error) {
    say({ id, done: { messages: client.messages, types: events.map((event) => event.type), error: told(error), requests } });
  }
}

const textOf = (messages) =>
  messages.filter(({ role }) => role === "assistant").flatMap(({ parts }) => parts)
    .filter(({ type }) => type === "text").map(({ content }) => content).join("");

// TanStack AI: a chat that sends one message; or, with `rejoin`, one that comes back to a run after a reload.
async function chat({ id, url, threadId, message, messages, forwardedProps, rejoin, hydrate, tool, afterTool }) {
  const { requests, recordingFetch } = recording();
  const errors = [], executed = [], customs = [];
  const tools = tool && [{
    __toolSide: "client", name: tool, description: "Looks at the sky",
    execute: async (input) => {
      executed.push(input);
      client.updateOptions({ forwardedProps: afterTool });
      return { sky: "clear" };
    },
  }];
  const report = () => ({
    messages: client.getMessages(), text: textOf(client.getMessages()), status: client.getStatus(),
    error: told(client.getError()), errors: errors.map(told), executed, customs, requests,
  });
  const client = new ChatClient({
    connection: fetchServerSentEvents(url, { fetchClient: recordingFetch, reconnect: { delayMs: 20 } }),
    threadId, initialMessages: messages, forwardedProps, ...(tools && { tools }), ...(hydrate && { persistence: true }),
    ...(rejoin && { initialResumeSnapshot: { resumeState: { threadId, runId: rejoin } } }),
    onError: (error) => errors.push(error),
    onCustomEvent: (type, data) => customs.push([type, data]),
    onMessagesChange: (current) => say({ id, text: textOf(current) }),
    onRunIdChange: (run) => run && say({ id, run }),
    onLoadingChange: (loading) => { if (!loading && (rejoin || hydrate)) say({ id, done: report() }); },
  });
  running.set(id, { stop: () => client.stop() });
  if (rejoin || hydrate) {
    client.attach?.();
    return;
  }
  await client.sendMessage(message);
  say({ id, done: report() });
}

// What TanStack's connection yields when it joins a run from its start.
async function join({ id, url, runId }) {
  const { requests, recordingFetch } = recording();
  let text = "";
  const types = [];
  try {
    const connection = fetchServerSentEvents(url, { fetchClient: recordingFetch, reconnect: { delayMs: 20 } });
    for await (const chunk of connection.joinRun(runId)) {
      types.push(chunk.type);
      if (chunk.type === "TEXT_MESSAGE_CONTENT") say({ id, text: (text += chunk.delta) });
    }
    say({ id, done: { text, types, requests } });
  } catch (error) {
    say({ id, done: { text, types, error: told(error), requests } });
  }
}

const stop = ({ of }) => running.get(of).stop();
const operations = { agent, chat, join, stop };

// What is logged would stand between the lines.
for (const name of ["log", "info", "debug", "warn"]) console[name] = console.error;
process.on("unhandledRejection", (error) => console.error(error));
createInterface({ input: process.stdin }).on("line", (line) => {
  const request = JSON.parse(line);
  Promise.resolve(request).then(operations[request.op])
    .catch((error) => say({ id: request.id, done: { crash: String(error.stack) } }));
});
say({ ready: true });
