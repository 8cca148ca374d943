/** One run: its answer as it grows, how to stop it, and how to interrupt it with another one. */

import { TokentapeError } from "./errors.ts";
import type { DoneReason, Failure, From, TapeEvent, Usage } from "./events.ts";
import type { Feed } from "./feed.ts";
import type { Http } from "./http.ts";
import { createShared } from "./shared.ts";
import { createListeners } from "./subscribable.ts";
import { type Answer, createTranscript, silent } from "./transcript.ts";

/** The body of `POST /v1/runs`; sampling parameters have OpenAI's names. */
export interface RunRequest {
  model?: string;
  messages: { role: string; content?: unknown; [member: string]: unknown }[];
  /** The channel on which it speaks; a run without one has a stream of its own. */
  channel?: string;
  on_no_watchers?: "continue" | { stop_after: number };
  on_crash?: "interrupt" | "restart";
  metadata?: Record<string, unknown>;
  /** The run that this one interrupts. */
  replaces?: string;
  /** Settings of the simulated model. */
  simulated?: Record<string, unknown>;
  temperature?: number;
  top_p?: number;
  max_tokens?: number;
  stop?: string | string[];
  seed?: number;
  tools?: Record<string, unknown>[];
  tool_choice?: string | Record<string, unknown>;
  parallel_tool_calls?: boolean;
  response_format?: Record<string, unknown>;
  reasoning_effort?: string;
  presence_penalty?: number;
  frequency_penalty?: number;
  logit_bias?: Record<string, number>;
  user?: string;
}

/** A run as the server knows it now. Times are milliseconds since the Unix epoch. */
export interface RunInfo {
  id: string;
  stream: string;
  /** Right before its first event, and at its `done`. */
  cursor: string;
  end?: string;
  state: "queued" | "running" | "done";
  model: string;
  provider?: string;
  created_at: number;
  started_at?: number;
  ended_at?: number;
  reason?: DoneReason;
  usage?: Usage;
  error?: Failure;
  metadata?: Record<string, unknown>;
  replaces?: string;
  /** How many runs stand before it, while it waits. */
  position?: number;
}

/** Iterating gives each event from the first on, and ends with the run. */
export interface Run extends AsyncIterable<TapeEvent, void, undefined> {
  readonly id: string;
  /** Its own view, to be watched by anybody: `runs/<id>`. */
  readonly stream: string;
  readonly status: "queued" | "running" | "done";
  /** What it has said so far. */
  readonly text: string;
  /** The same with everything else: reasoning, tools, usage. A new object whenever it changes, and only then. */
  readonly answer: Answer;
  /** Everything up to here is in `answer`. */
  readonly cursor: From;
  /** Why it cannot be watched any further, if so. */
  readonly failure: TokentapeError | undefined;
  /** The answer when the run has ended, for whatever reason; rejects when it cannot be watched to its end. */
  readonly done: Promise<Answer>;
  /** Stops it, and keeps what it has said; resolves when the end is recorded. Harmless when it has ended. */
  stop(reason?: string): Promise<RunInfo>;
  /** Interrupts it: stops it and starts another one that knows what it had said. */
  replace(request: RunRequest): Promise<Run>;
  /** Calls the listener after each change; watches as long as there is one. */
  subscribe(listener: () => void): () => void;
  /** Lets go of it. The run goes on. */
  close(): void;
}

export interface RunSurroundings {
  http: Http;
  feed(stream: string, from: From): Feed;
  start(request: RunRequest): Promise<Run>;
}

export function createRun(id: string, { http, feed, start }: RunSurroundings): Run {
  const stream = `runs/${id}`;
  const transcript = createTranscript();
  const nothing = silent(id);
  let position: From = "start";
  let failure: TokentapeError | undefined;
  let done: Promise<Answer> | undefined;
  let settle: (() => void) | undefined;

  const answer = (): Answer => transcript.answer(id) ?? nothing;
  const isDone = (): boolean => answer().state !== "running";

  const shared = createShared((from) => feed(stream, from), () => position, {
    event(event, _, reached) {
      transcript.apply(event);
      position = reached;
      listeners.tell();
    },
    end: over,
  });
  const listeners = createListeners(hold, () => shared.release());

  function hold(): void {
    if (isDone()) return;
    failure = undefined;
    shared.hold();
  }

  function over(error: TokentapeError | undefined): void {
    if (!isDone()) failure = error ?? new TokentapeError("closed", "The run is watched no more.");
    shared.drop();
    settle?.();
    listeners.tell();
  }

  const run: Run = {
    id,
    stream,
    get status() {
      return isDone() ? "done" : answer() === nothing ? "queued" : "running";
    },
    get text() {
      return answer().content;
    },
    get answer() {
      return answer();
    },
    get cursor() {
      return position;
    },
    get failure() {
      return failure;
    },
    get done() {
      if (!done) {
        done = new Promise((resolve, reject) => {
          settle = () => (isDone() ? resolve(answer()) : reject(failure!));
        });
        // It may be that nobody asks for it.
        done.catch(() => {});
        if (isDone() || failure) settle!();
        else hold();
      }
      return done;
    },
    stop: (reason) => http.call("POST", `v1/runs/${id}/stop`, { body: { reason }, repeat: true }),
    replace: (request) => start({ ...request, replaces: id }),
    subscribe: listeners.add,
    close: () => over(undefined),
    [Symbol.asyncIterator]: () => shared.iterate("start"),
  };
  return run;
}
