/** A session with a clock, randomness and connections: one view of one stream, for any number of listeners. */

import { type Connection, createTimer, type View } from "./connection.ts";
import type { TokentapeError } from "./errors.ts";
import type { From, TapeEvent } from "./events.ts";
import { runOf } from "./http.ts";
import { createSession, refusal, type Session, type SessionOptions, type Signal } from "./session.ts";
import { guarded } from "./subscribable.ts";

export interface Listener {
  /** Gets each event, how much text it came as, and where another view would go on after it. */
  event(event: TapeEvent, size: number, position: From): void;
  /** Nothing follows: the stream has ended, or, with an error, the server refused or patience is over. */
  end?(error: TokentapeError | undefined): void;
}

export interface Feed {
  readonly session: Pick<Session, "state" | "position">;
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
  open(view: View): Promise<Connection>;
  /** Told of each change of state. */
  changed(feed: Feed): void;
}

export function createFeed(feeder: Feeder, stream: string, from: From, merge: boolean): Feed {
  const session = createSession({ ...feeder, from, run: runOf(stream) });
  const listeners = new Set<Listener>();
  const timer = createTimer();
  let connection: Connection | undefined;
  let attempt: object | undefined;
  let error: TokentapeError | undefined;
  let closed = false;

  function step(signal: Signal): void {
    const { state } = session;
    const action = session.step(signal, performance.now(), Math.random());
    error = undefined;
    if (action?.type === "connect") {
      const mine = (attempt = {});
      const emit = (news: Signal): void => void (attempt === mine && step(news));
      feeder.open({ stream, from: action.from, merge, emit }).then(
        (opened) => {
          if (attempt === mine) connection = opened;
          else opened.close();
        },
        (error: TokentapeError) => emit(refusal(error)),
      );
    } else if (action?.type === "deliver") {
      for (const listener of [...listeners]) guarded(listener.event, action.event, action.size, session.position);
    } else if (action?.type === "wait") {
      drop();
      error = action.error;
      timer.set(action.ms, () => step({ type: "waited" }));
    } else if (action?.type === "fail") error = action.error;
    if (session.over && !closed) {
      const told = [...listeners];
      close();
      for (const listener of told) guarded(listener.end, error);
    } else if (session.state !== state) feeder.changed(feed);
  }

  function drop(): void {
    timer.clear();
    connection?.close();
    connection = attempt = undefined;
  }

  function close(): void {
    closed = true;
    drop();
    listeners.clear();
    feeder.changed(feed);
  }

  const feed: Feed = {
    session,
    get closed() {
      return closed;
    },
    get error() {
      return error;
    },
    listen(listener) {
      listeners.add(listener);
      if (session.state === "idle") step({ type: "begun" });
      return () => {
        if (listeners.delete(listener) && listeners.size === 0) close();
      };
    },
    wake() {
      if (session.state === "waiting") {
        timer.clear();
        step({ type: "waited" });
      } else connection?.check();
    },
    close,
    request: (op, fields) => (session.state === "playing" ? connection?.request?.(op, fields) : undefined),
  };
  return feed;
}
