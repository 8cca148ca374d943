// What an application does with the installed package, wherever it runs: `play(url, options)`.

import { createClient } from "tokentape";

export async function play(url, options) {
  const client = createClient({ url, ...options });
  const room = client.channel(`rooms/${Math.random().toString(36).slice(2)}`);
  const said = new Promise((resolve) => room.on("chat:said", resolve));
  // Before it is published, so that it comes by the view.
  await new Promise((resolve) => room.on("ready", resolve));
  await room.emit("chat:said", "hi");
  const run = await client.run({ messages: [{ role: "user", content: "Hello" }], simulated: { tokens: 40, rate: 400 } });
  let tape = "";
  for await (const event of run) if (event.type === "token") tape += event.data;
  const { content, state, usage } = await run.done;
  const here = room.presence.enter({ name: "Ada" }, "ada").then(() => room.presence.list(), ({ code }) => code);
  const told = {
    said: await said,
    same: tape === content,
    state,
    tokens: usage.output_tokens,
    present: await here,
    transport: client.status.get().transport,
  };
  client.close();
  return told;
}
