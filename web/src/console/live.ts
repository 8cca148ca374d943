/**
 * The samples of the server, one per second: those of the last minutes, then live.
 *
 * Read through `fetch`, not `EventSource`, since a key has to be sent. After a cut the past is asked for again, which
 * fills in what the server measured meanwhile; what it did not measure stays a gap.
 */

import { TokentapeError } from "tokentape";
import { link, token } from "../app/server.ts";
import { admin, type Sample } from "./api.ts";
import { health } from "./health.ts";
import { createLines } from "./lines.ts";
import { errorOf } from "./problem.ts";
import { join } from "./samples.ts";
import { createStore } from "./store.ts";

export interface Live {
  readonly samples: readonly Sample[];
  /** Whether new ones come at this moment. */
  readonly flowing: boolean;
}

/** Seconds that are kept: what the server keeps. */
const KEPT = 600;
/** Milliseconds without a sample until the connection is taken for dead. */
const SILENCE = 6_000;
/** Milliseconds until the next attempt. */
const PAUSE = 1_500;

const { get, set, subscribe } = createStore<Live>({ samples: [], flowing: false }, begin, stop);

export const live = { get, subscribe };

let attempt = new AbortController();

function begin(): void {
  document.addEventListener("visibilitychange", turn);
  turn();
}

function stop(): void {
  document.removeEventListener("visibilitychange", turn);
  attempt.abort();
}

// A page that nobody looks at holds no connection; what it missed is there when somebody does.
function turn(): void {
  attempt.abort();
  if (document.visibilityState !== "visible") return;
  attempt = new AbortController();
  void keep(attempt.signal);
}

async function keep(signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await read(signal).catch((error: unknown) => {
      if (error instanceof TokentapeError && !signal.aborted) health.failed(error);
    });
    if (signal.aborted) return;
    if (get().flowing) set({ ...get(), flowing: false });
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

async function read(over: AbortSignal): Promise<void> {
  const quiet = new AbortController();
  const signal = AbortSignal.any([over, quiet.signal]);
  let timer = setTimeout(() => quiet.abort(), SILENCE);
  try {
    const response = await open(signal);
    const { samples } = await admin.metrics(signal);
    signal.throwIfAborted();
    set({ samples: join(get().samples, samples, KEPT), flowing: true });
    const lines = createLines();
    const decoder = new TextDecoder();
    for (const reader = response.body!.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done || signal.aborted) return;
      clearTimeout(timer);
      timer = setTimeout(() => quiet.abort(), SILENCE);
      const news = lines(decoder.decode(value, { stream: true })).map((data) => JSON.parse(data) as Sample);
      if (news.length) set({ samples: join(get().samples, news, KEPT), flowing: true });
    }
  } finally {
    clearTimeout(timer);
    quiet.abort();
  }
}

async function open(signal: AbortSignal, refused = false): Promise<Response> {
  const key = await token(refused);
  const headers = { Accept: "text/event-stream", ...(key && { Authorization: `Bearer ${key}` }) };
  const response = await fetch(link("v1/admin/metrics/live"), { headers, signal });
  if (response.status === 401 && !refused) return open(signal, true);
  if (response.ok) return response;
  throw await errorOf(response);
}
