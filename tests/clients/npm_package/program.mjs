// A program: plays against the server at its argument, and prints what came of it; also in a thread of its own.

import process from "node:process";
import { isMainThread, Worker } from "node:worker_threads";
import { play } from "./play.mjs";

const [url, options, where] = process.argv.slice(2);
if (where === "worker" && isMainThread) new Worker(new URL(import.meta.url), { argv: [url, options, where] });
else console.log(JSON.stringify({ isMainThread, ...(await play(url, JSON.parse(options))) }));
