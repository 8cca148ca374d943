/** Views over WebSockets (docs/websocket.md): many on one socket, and other requests beside them. */

import { type Connection, createTimer, type Open, type Surroundings, type View } from "./connection.ts";
import { errorFrom, TokentapeError, unreachable } from "./errors.ts";
import type { Signal } from "./session.ts";
import { closed, type Down, signalsOf } from "./ws-wire.ts";

/** Streams on one socket; the server's own bound, as it comes. */
const MAX_STREAMS = 64;
/** A socket that nobody needs is kept for so long: a page that changes its view opens the next one at once. */
const LINGER = 1_000;
/** Requests that may wait for their answers on one socket; as many as the server lets wait. */
const MAX_REQUESTS = 256;

interface Subscription {
  view: View;
  /** Whether the `subscribe` was answered; what comes before is of an earlier subscription of that name. */
  open?: boolean;
}

/** One socket, from its opening to its end; it is never opened again. */
interface Socket {
  /** Undefined when it cannot be had here: it bears that stream, it is full, or it is closed. */
  subscribe(view: View): Connection | undefined;
  close(): void;
}

/** Opens views on as few sockets as there can be: a socket bears a stream once, and `MAX_STREAMS` of them. */
export function createOpen(surroundings: Surroundings): Open {
  const sockets = new Set<Socket>();
  // Beyond one socket: a refused credential is told when the next one opens.
  const credential = { refused: false };
  surroundings.closing.push(() => sockets.forEach(({ close }) => close()));
  return (view) => {
    for (const socket of sockets) {
      const connection = socket.subscribe(view);
      if (connection) return connection;
    }
    const socket = createSocket(surroundings, credential, () => sockets.delete(socket));
    sockets.add(socket);
    return socket.subscribe(view)!;
  };
}

function createSocket(
  { http, WebSocket, timeouts, works, blocked }: Surroundings,
  credential: { refused: boolean },
  gone: () => void,
): Socket {
  const subscriptions = new Map<string, Subscription>();
  const requests = new Map<unknown, (down: Down) => void>();
  const timer = createTimer();
  const socket = new WebSocket!(http.address("v1/ws").replace(/^http/, "ws"), "tokentape.v1");
  let open = false;
  let alive = true;
  let worked = false;
  let heard = 0;
  let last = 0;

  function ask(op: string, fields: object = {}, answered?: (down: Down) => void): void {
    last += 1;
    if (answered) requests.set(last, answered);
    socket.send(JSON.stringify({ op, id: last, ...fields }));
  }

  function end(signal: Signal & { error: TokentapeError }): void {
    if (!alive) return;
    open = alive = false;
    timer.clear();
    socket.onmessage = socket.onclose = null;
    // Closing it while it opens would have a browser warn of a failed connection, which it is not.
    socket.onopen = () => socket.close();
    if (socket.readyState) socket.close();
    gone();
    for (const { view } of subscriptions.values()) view.emit(signal);
    for (const answered of requests.values()) answered({ error: signal.error });
  }

  function fail(message: string, cause?: unknown): void {
    if (!worked && !cause) blocked("ws");
    end({ type: "lost", error: unreachable(message, cause) });
  }

  const close = (): void => fail("The client closed the WebSocket.", true);

  // Asks for a sign of life, and takes the connection for dead when none comes. Counted from the question, because
  // timers of a page in the background may be late by a minute.
  function pulse(patience = timeouts.silence / 2): void {
    const asked = performance.now();
    ask("ping");
    timer.set(patience, () => {
      if (heard < asked) fail("The WebSocket is silent.");
      else timer.set(timeouts.silence / 3, pulse);
    });
  }

  socket.onopen = async () => {
    try {
      timer.clear();
      // A browser cannot set the header of an upgrade, so the first message brings the credential.
      const token = await http.token(credential.refused);
      if (!alive) return;
      open = true;
      timer.set(timeouts.firstWord, () => fail("The WebSocket is silent."));
      if (token !== undefined) ask("auth", { token });
      for (const subscription of subscriptions.values()) begin(subscription);
      if (subscriptions.size === 0) timer.set(LINGER, close);
    } catch (error) {
      fail("The token could not be had.", error);
    }
  };

  socket.onmessage = ({ data }) => {
    heard = performance.now();
    let down: Down;
    try {
      down = JSON.parse(data as string) as Down;
    } catch {
      return fail("The server sent a message that is not tokentape.v1.");
    }
    if (!worked) {
      worked = true;
      credential.refused = false;
      works("ws");
      pulse();
    }
    const answered = requests.get(down.id);
    requests.delete(down.id);
    if (answered) return answered(down);
    const subscription = subscriptions.get((down.stream ?? (down.error as Down)?.stream) as string);
    if (subscription?.open && down.id == null) pass(subscription, down, (data as string).length);
  };

  socket.onclose = ({ code, reason }) => {
    let signal = closed(code, reason) as Signal & { error: TokentapeError };
    if (code === 3500 && http.refreshable && !credential.refused) {
      // Once more, with a token that is asked for anew.
      credential.refused = true;
      signal = { type: "lost", error: signal.error };
    }
    if (!worked && signal.type === "lost") blocked("ws");
    end(signal);
  };

  function pass(subscription: Subscription, down: Down, size: number): void {
    for (const signal of signalsOf(down, size)) {
      if (signal.type === "opened") subscription.open = true;
      else if (signal.type !== "item") leave(subscription);
      subscription.view.emit(signal);
    }
  }

  function leave(subscription: Subscription): boolean {
    const { stream } = subscription.view;
    const held = alive && subscriptions.get(stream) === subscription && subscriptions.delete(stream);
    if (held && open && subscriptions.size === 0) timer.set(LINGER, close);
    return held;
  }

  function begin(subscription: Subscription): void {
    const { stream, from, merge } = subscription.view;
    ask("subscribe", { stream, from, merge }, (down) => {
      // In the same turn as the message came, before the first event.
      if (alive && subscriptions.get(stream) === subscription) pass(subscription, down, 0);
    });
  }

  timer.set(timeouts.firstWord, () => fail("The WebSocket does not open."));
  return {
    close,
    subscribe(view) {
      const { stream } = view;
      if (!alive || subscriptions.size >= MAX_STREAMS || subscriptions.has(stream)) return undefined;
      const subscription: Subscription = { view };
      // It was about to be closed.
      if (worked && subscriptions.size === 0) pulse();
      subscriptions.set(stream, subscription);
      if (open) begin(subscription);
      return {
        close() {
          if (leave(subscription) && open) ask("unsubscribe", { stream });
        },
        check() {
          if (open) pulse(timeouts.silence / 6);
        },
        // An `id` is that of the request here, and an event's own has another name.
        request: (op, { id: event_id, ...fields }) =>
          new Promise((resolve, reject) => {
            if (!alive) reject(unreachable("The WebSocket is closed."));
            else if (requests.size >= MAX_REQUESTS) reject(new TokentapeError("too_many", "Too many requests wait for their answers."));
            else ask(op, { stream, event_id, ...fields }, ({ op, data, error }) => (op === "ack" ? resolve(data) : reject(errorFrom(error))));
          }),
      };
    },
  };
}
