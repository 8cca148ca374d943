// The reference server of the Durable Streams protocol. It is fed over HTTP, by `load publish`.
//
// `--data FOLDER` keeps streams in files (its log, with LMDB for what it knows of them); without it they are in memory,
// which is its default.
import { DurableStreamTestServer } from "@durable-streams/server";
import { obey, portArgument, ready } from "./control.js";

const at = process.argv.indexOf("--data");
const server = new DurableStreamTestServer({
  host: "127.0.0.1",
  port: portArgument(),
  dataDir: at < 0 ? undefined : process.argv[at + 1],
});
await server.start();

// The watched stream is there before anybody watches it.
const created = await fetch(`${server.url}/v1/stream/bench`, {
  method: "PUT",
  headers: { "Content-Type": "text/plain" },
});
if (!created.ok) throw new Error(`the stream could not be made: ${created.status}`);

ready(Number(new URL(server.url).port));
obey();
