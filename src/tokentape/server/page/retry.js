// How long to wait before trying again, and what is worth trying again.

const BASE_MS = 500;
const CAP_MS = 10_000;

// "Full jitter": when a server comes back, its watchers must not all knock in the same instant.
// The floor keeps a lucky draw from becoming a busy loop.
export function backoff(attempt) {
  const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** attempt);
  return Math.max(BASE_MS / 2, Math.random() * ceiling);
}

// Does `action` until it succeeds, fails for good (`error.retryable` is not true), or is given up by `signal`.
// `onWait(error, milliseconds)` is told before each pause, so that nobody looks at a page that seems dead.
export async function keepTrying(action, { signal, onWait }) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await action();
    } catch (error) {
      if (!error.retryable || signal.aborted) throw error;
      const pause = error.retryAfter ?? backoff(attempt);
      onWait(error, pause);
      await sleep(pause, signal);
    }
  }
}

function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const giveUp = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", giveUp, { once: true });
  });
}
