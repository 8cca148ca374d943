/** One run: its answer as it grows, how to stop it, and how to interrupt it with another one. */

import { TokentapeError } from "./errors.ts";
import type { DoneReason, Failure, From, TapeEvent, Usage } from "./events.ts";
import type { Feed } from "./feed.ts";
import type { Http } from "./http.ts";
import { createListeners } from "./subscribable.ts";
import { type Answer, createTranscript } from "./transcript.ts";
import { createQueue } from "./watch.ts";

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
  /** Whether anybody watches it. */
  held(run: Run, held: boolean): void;
}

export function createRun(id: string, { http, feed, start, held }: RunSurroundings): Run {
  const stream = `runs/${id}`;
  const transcript = createTranscript();
  let position: From = "start";
  let live: Feed | undefined;
  let leave: (() => void) | undefined;
  let holds = 0;
  let failure: TokentapeError | undefined;
  let done: Promise<Answer> | undefined;
  let settle: (() => void) | undefined;
  let nothing: Answer | undefined;

  const listeners = createListeners(hold, release);
  const isDone = (): boolean => run.answer.state !== "running";

  function hold(): void {
    if (holds++ > 0 || isDone()) return;
    failure = undefined;
    live = feed(stream, position);
    held(run, true);
    leave = live.listen({
      event(event) {
        transcript.apply(event);
        position = event.type === "ready" ? event.data.cursor : (event.cursor ?? position);
        listeners.tell();
      },
      end: () => over(),
      fail: (error) => over(error),
    });
  }

  function release(): void {
    if (holds > 0 && --holds === 0) drop();
  }

  function drop(): void {
    holds = 0;
    const left = leave;
    live = leave = undefined;
    left?.();
    held(run, false);
  }

  function over(error?: TokentapeError): void {
    failure = error ?? (isDone() ? undefined : new TokentapeError("closed", `The run ${id} cannot be watched to its end.`));
    drop();
    settle?.();
    listeners.tell();
  }

  function whole(): Promise<Answer> {
    const promise = new Promise<Answer>((resolve, reject) => {
      settle = () => {
        if (isDone()) resolve(run.answer);
        else reject(failure!);
      };
    });
    // It may be that nobody asks for it.
    promise.catch(() => {});
    if (isDone() || failure) settle!();
    else hold();
    return promise;
  }

  const run: Run = {
    id,
    stream,
    get status() {
      return isDone() ? "done" : transcript.answer(id) ? "running" : "queued";
    },
    get text() {
      return run.answer.content;
    },
    get answer() {
      return (
        transcript.answer(id) ??
        (nothing ??= {
          id: null, role: "assistant", run: id, state: "running", content: "", reasoning: "", tool_calls: [], tool_results: [],
        })
      );
    },
    get cursor() {
      return position;
    },
    get failure() {
      return failure;
    },
    get done() {
      return (done ??= whole());
    },
    stop: (reason) =>
      http.call("POST", `v1/runs/${encodeURIComponent(id)}/stop`, { body: reason === undefined ? reason : { reason }, repeat: true }),
    replace: (request) => start({ ...request, replaces: id }),
    subscribe: listeners.add,
    close() {
      if (isDone()) return;
      failure = new TokentapeError("closed", `The run ${id} was let go of.`);
      drop();
      settle?.();
      listeners.tell();
    },
    [Symbol.asyncIterator]() {
      const queue = createQueue((from, listener) => {
        hold();
        // Who is where the run's own view is shares it; who is late, or fell behind, catches up on their own.
        const shared = live && !live.closed && live.position === from ? live : feed(stream, from);
        const left = shared.listen(listener);
        return () => {
          left();
          release();
        };
      }, "start");
      return queue[Symbol.asyncIterator]();
    },
  };
  return run;
}
