/** A session with a clock, randomness and connections: one view of one stream, for any number of listeners. */

import { type Connection, createTimer, type View } from "./connection.ts";
import type { TokentapeError } from "./errors.ts";
import type { From, TapeEvent } from "./events.ts";
import { runOf } from "./http.ts";
import { createSession, type SessionOptions, type Signal, type State } from "./session.ts";
import { guarded } from "./subscribable.ts";

export interface Listener {
  /** Gets each event, and how much text it came as. */
  event(event: TapeEvent, size: number): void;
  /** Nothing follows, ever. */
  end?: () => void;
  /** The server refused, or patience is over. */
  fail?: (error: TokentapeError) => void;
}

export interface Feed {
  readonly state: State;
  readonly position: From;
  /** Whether it was let go of, or is over. */
  readonly closed: boolean;
  /** What the connection was lost for, while it is tried again. */
  readonly error: TokentapeError | undefined;
  /** The first one opens the connection; when the last has left it is closed. */
  listen(listener: Listener): () => void;
  /** Tries now what it would have tried later, and looks whether its connection lives. */
  wake(): void;
  close(): void;
  /** A request over the connection of this view; undefined where that is none that can bear it. */
  request(op: string, fields: Record<string, unknown>): Promise<unknown> | undefined;
}

/** What feeds have in common. */
export interface Feeder extends Pick<SessionOptions, "backoff" | "patience"> {
  open(view: View): Connection;
  now: () => number;
  random: () => number;
  /** Told of each change of state. */
  changed(feed: Feed): void;
}

export function createFeed(feeder: Feeder, stream: string, from: From, merge: boolean): Feed {
  const session = createSession({ from, run: runOf(stream), backoff: feeder.backoff, patience: feeder.patience });
  const listeners = new Set<Listener>();
  const timer = createTimer();
  let connection: Connection | undefined;
  let error: TokentapeError | undefined;
  let closed = false;

  function step(signal: Signal): void {
    const { state } = session;
    const action = session.step(signal, feeder.now(), feeder.random());
    switch (action?.type) {
      case "connect": {
        const mine: Connection = feeder.open({
          stream,
          from: action.from,
          merge,
          emit(news) {
            if (connection === mine) step(news);
          },
        });
        connection = mine;
        break;
      }
      case "deliver":
        for (const listener of [...listeners]) guarded(listener.event, action.event, action.size);
        break;
      case "wait":
        error = action.error;
        drop();
        timer.set(action.ms, () => step({ type: "waited" }));
        break;
      case "fail":
        error = action.error;
        break;
    }
    if (session.over && !closed) finish(action?.type === "fail" ? action.error : undefined);
    if (session.state === "playing") error = undefined;
    if (session.state !== state) feeder.changed(feed);
  }

  function drop(): void {
    const dropped = connection;
    connection = undefined;
    timer.clear();
    dropped?.close();
  }

  function finish(failure: TokentapeError | undefined): void {
    closed = true;
    drop();
    for (const listener of [...listeners]) {
      if (failure) guarded(listener.fail, failure);
      else guarded(listener.end);
    }
    listeners.clear();
  }

  const feed: Feed = {
    get state() {
      return session.state;
    },
    get position() {
      return session.position;
    },
    get closed() {
      return closed;
    },
    get error() {
      return error;
    },
    listen(listener) {
      listeners.add(listener);
      if (session.state === "idle" && !closed) step({ type: "begun" });
      return () => {
        if (listeners.delete(listener) && listeners.size === 0) feed.close();
      };
    },
    wake() {
      if (session.state === "waiting" && !closed) {
        timer.clear();
        step({ type: "waited" });
      } else connection?.check();
    },
    close() {
      if (closed) return;
      closed = true;
      drop();
      listeners.clear();
      feeder.changed(feed);
    },
    request: (op, fields) => (session.state === "playing" ? connection?.request?.(op, fields) : undefined),
  };
  return feed;
}
