// The requests of the page. Watching is not here: see watch-sse.js and watch-ws.js.

// Relative to this file, so that the page also works where the server is mounted under a path.
export const API = new URL("../v1/", import.meta.url);

// An answer of the server that says no: an RFC 9457 problem document, with tokentape's stable `code`.
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? body.title ?? `The server answered ${status}.`);
    this.status = status;
    this.code = body.code ?? "";
    this.retryable = body.retryable ?? (status === 429 || status >= 502);
    if (retryAfter > 0) this.retryAfter = retryAfter * 1000;
  }
}

// No answer at all: the server is gone, or the network is.
export class Unreachable extends Error {
  retryable = true;

  constructor() {
    super("The server does not answer.");
  }
}

export async function listModels(signal) {
  const { models } = await request("models", { signal });
  return models;
}

// `key` makes it safe to send the same request again when the answer to the first got lost: the server
// starts one run for one key.
export function startRun(body, { key, signal }) {
  return request("runs", {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": key },
    body: JSON.stringify(body),
    signal,
  });
}

export function getRun(id, signal) {
  return request(`runs/${encodeURIComponent(id)}`, { signal });
}

// Idempotent, and works from anywhere: it does not matter which connections this page still has.
export function stopRun(id) {
  return request(`runs/${encodeURIComponent(id)}/stop`, { method: "POST" });
}

// Reads what the tape holds, by long-poll and with each event as it was recorded, page by page up to the end.
export async function readTape(id, signal) {
  const events = [];
  for (let from = "start"; ; ) {
    const query = new URLSearchParams({ from, merge: "false", wait: "10" });
    const page = await request(`runs/${encodeURIComponent(id)}/events?${query}`, { signal });
    events.push(...page.events);
    if (page.ended) return { events, cursor: page.cursor };
    from = page.cursor;
  }
}

async function request(path, { headers, ...options } = {}) {
  let response;
  let body;
  try {
    response = await fetch(new URL(path, API), { ...options, headers: { Accept: "application/json", ...headers } });
    body = await response.text();
  } catch (error) {
    // fetch rejects with a TypeError for everything that is not an answer.
    throw error.name === "AbortError" ? error : new Unreachable();
  }
  const json = parse(body);
  if (!response.ok) throw new Problem(response.status, json ?? {}, Number(response.headers.get("Retry-After")));
  return json;
}

function parse(body) {
  try {
    return JSON.parse(body);
  } catch {
    return null; // a proxy's own error page
  }
}

// Not crypto.randomUUID: that exists on secure origins only, and this page may be opened over a LAN.
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
