// One process of the Redis benchmark: npm `resumable-stream`, which makes streams, or resumes them elsewhere. It obeys the
// same lines as python/redis_roles.py.
//
//     redis_roles.js writer|watcher resumable-stream URL RUNS RATE
import { createInterface } from "node:readline";
import { createClient } from "redis";
import { createResumableStreamContext } from "resumable-stream";

const [role, , url, runs, rate] = process.argv.slice(2);
const PAD = "x".repeat(12);

const publisher = createClient({ url });
const subscriber = createClient({ url });
await Promise.all([publisher.connect(), subscriber.connect()]);
const context = createResumableStreamContext({ waitUntil: () => {}, publisher, subscriber });

let made = 0;
let latencies = [];
let cpu = process.cpuUsage();
let go;
const started = new Promise((resolve) => (go = resolve));

function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

function saw(text) {
  const now = process.hrtime.bigint();
  for (const [, moment] of text.matchAll(/(\d+)-x/g)) latencies.push(Number(now - BigInt(moment)) / 1e6);
}

function begin() {
  made = 0;
  latencies = [];
  cpu = process.cpuUsage();
}

function report() {
  const times = latencies.toSorted((a, b) => a - b);
  const used = process.cpuUsage(cpu);
  const found = { made, seen: times.length, cpu: (used.user + used.system) / 1e6 };
  if (times.length)
    Object.assign(found, {
      p50: times[Math.floor(times.length / 2)],
      p99: times[Math.floor(times.length * 0.99)],
      max: times.at(-1),
    });
  return found;
}

// One run's tokens as server-sent events, at a steady rate, each run a little later than the one before.
function tokens(name, number) {
  return new ReadableStream({
    async start(controller) {
      await started;
      const start = performance.now() + (number / runs / rate) * 1000;
      let turn = 0;
      const next = () => {
        made += 1;
        turn += 1;
        const data = `${process.hrtime.bigint()}-${PAD} `;
        controller.enqueue(`data: ${JSON.stringify({ type: "token", data, run: name, at: Date.now() })}\n\n`);
        setTimeout(next, start + (turn * 1000) / rate - performance.now());
      };
      setTimeout(next, start - performance.now());
    },
  });
}

async function drain(stream, handle) {
  for await (const chunk of stream) handle(chunk);
}

const streams = role === "writer" ? Array.from({ length: Number(runs) }, (_, at) => `r_${String(at).padStart(10, "0")}`) : [];
for (const [number, name] of streams.entries())
  drain(await context.createNewResumableStream(name, () => tokens(name, number)), () => {});
say({ streams });

createInterface({ input: process.stdin }).on("line", async (line) => {
  const [word, ...names] = line.split(" ");
  if (word === "quit") process.exit(0);
  if (word === "streams") for (const name of names) drain(await context.resumeExistingStream(name), saw);
  if (word === "go") go();
  if (word === "begin") begin();
  say(word === "report" ? report() : { ok: true });
});
