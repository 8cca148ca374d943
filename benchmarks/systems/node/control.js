// What every Node.js server under test does beside serving: it makes events when its stdin says so.
import { createInterface } from "node:readline";

const EVENT_TEXT = 60;
const WORDS = "the quick brown fox jumps over the lazy dog and goes home";

// Some words, then the marker that the load client looks for.
function eventText(seq) {
  const marker = `#${seq}@${process.hrtime.bigint() / 1000n};`;
  return WORDS.slice(0, Math.max(0, EVENT_TEXT - marker.length)) + marker;
}

function say(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

// `--port`; 0 is any free one.
export function portArgument() {
  const at = process.argv.indexOf("--port");
  return at < 0 ? 0 : Number(process.argv[at + 1]);
}

// Tells the harness that connections are accepted.
export function ready(port) {
  say({ ready: true, port, pid: process.pid });
}

// Carries out what stdin says; `handOut(text, seq)` hands one event to all watchers.
export function obey(handOut = () => {}) {
  let last = 0;
  let playing = false;

  const start = (rate, count) => {
    const first = last + 1;
    last += count;
    playing = true;
    const began = performance.now();
    let index = 0;
    const step = () => {
      if (rate === 0) {
        // The next one when the loop has had its turn: connections, reads and timers go on.
        handOut(eventText(first + index), first + index);
        index += 1;
      } else {
        // Timers are good to a millisecond; what is due by now goes out at once, so that the rate is kept on the whole.
        const due = Math.min(count, Math.floor(((performance.now() - began) / 1000) * rate) + 1);
        for (; index < due; index += 1) handOut(eventText(first + index), first + index);
      }
      if (index < count) {
        if (rate === 0) setImmediate(step);
        else setTimeout(step, began + (index * 1000) / rate - performance.now());
        return;
      }
      playing = false;
      say({ emitted: count, seconds: (performance.now() - began) / 1000 });
    };
    step();
  };

  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    const [command, rate, count] = line.trim().split(/\s+/);
    if (command === "quit") process.exit(0);
    if (command === "start" && !playing && Number(count) > 0) {
      say({ ok: true });
      start(Number(rate), Number(count));
    } else {
      say({ error: `cannot do '${line}' now` });
    }
  });
  lines.on("close", () => process.exit(0));
}
