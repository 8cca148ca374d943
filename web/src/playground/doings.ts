/** What a run says that it is doing, in words. Pure. An agent may send any value, so only the server's own are taken apart. */

/** Characters of what is not known. */
const MAX_WORDS = 300;

export function wordsOf(status: unknown): string {
  const { state, position, attempt, seconds, code, failover } = (status ?? {}) as Record<string, unknown>;
  if (state === "queued" && typeof position === "number") return `Waiting: ${runs(position)} before this one`;
  if (state === "retrying" && typeof seconds === "number") return `Trying again in ${seconds} s, attempt ${String(attempt)}: ${String(code)}`;
  if (typeof failover === "object" && failover !== null) return overTo(failover);
  const alone = typeof status === "object" && Object.keys(status ?? {}).length === 1 ? state : status;
  return (typeof alone === "string" ? alone : JSON.stringify(status)).slice(0, MAX_WORDS);
}

function overTo({ model, provider, code }: { model?: unknown; provider?: unknown; code?: unknown }): string {
  const why = code === undefined ? "" : `, after ${String(code)}`;
  return `Went over to ${String(model)} of ${String(provider)}${why}`.slice(0, MAX_WORDS);
}

const runs = (count: number): string => `${count} run${count === 1 ? "" : "s"}`;
