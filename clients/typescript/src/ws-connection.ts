/** Views over WebSockets (docs/websocket.md): many on one socket, and other requests beside them. */

import { type Connection, createTimer, FIRST_WORD, HEARTBEAT, type Surroundings, type View } from "./connection.ts";
import { errorFrom, TokentapeError, unreachable } from "./errors.ts";
import type { Signal } from "./session.ts";
import { closed, type Down, refusal, signalsOf } from "./wire.ts";

/** Streams on one socket; the server's own bound, as it comes. */
const MAX_STREAMS = 64;
/** A socket that nobody needs is kept for so long: a page that changes its view opens the next one at once. */
const LINGER = 2_000;
/** Milliseconds for the answer to a ping. */
const PONG = 15_000;
/** Requests that may wait for their answers on one socket; as many as the server lets wait. */
const MAX_REQUESTS = 256;

interface Subscription {
  view: View;
  /** Whether the `subscribe` was answered; what comes before is of an earlier subscription of that name. */
  open: boolean;
}

/** One socket, from its opening to its end; it is never opened again. */
interface Socket {
  readonly alive: boolean;
  has(stream: string): boolean;
  readonly size: number;
  subscribe(view: View): Connection;
  close(): void;
}

/** Opens views on as few sockets as there can be: a socket bears a stream once, and `MAX_STREAMS` of them. */
export function createSockets(surroundings: Surroundings): { open(view: View): Connection; close(): void } {
  let sockets: Socket[] = [];
  // Beyond one socket: a refused credential is told when the next one opens.
  const credential = { refused: false };
  return {
    open(view) {
      sockets = sockets.filter((socket) => socket.alive);
      let socket = sockets.find(({ size, has }) => size < MAX_STREAMS && !has(view.stream));
      if (!socket) sockets.push((socket = createSocket(surroundings, credential)));
      return socket.subscribe(view);
    },
    close() {
      for (const socket of sockets) socket.close();
    },
  };
}

function createSocket(
  { http, WebSocket, now, works, blocked }: Surroundings,
  credential: { refused: boolean },
): Socket {
  const subscriptions = new Map<string, Subscription>();
  const requests = new Map<number, { resolve(data: unknown): void; reject(error: TokentapeError): void }>();
  const beat = createTimer();
  const linger = createTimer();
  let outbox: string[] | undefined = [];
  let alive = true;
  let worked = false;
  let heard = 0;
  let last = 0;
  let socket: WebSocket | undefined;

  function send(message: object): void {
    const text = JSON.stringify(message);
    if (outbox) outbox.push(text);
    else socket!.send(text);
  }

  function ask(op: string, fields: object): number {
    last += 1;
    send({ op, id: last, ...fields });
    return last;
  }

  function end(signal: Signal & { error: TokentapeError }): void {
    if (!alive) return;
    alive = false;
    beat.clear();
    linger.clear();
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      // Closing it while it opens would have a browser warn of a failed connection, which it is not.
      if (socket.readyState === 0) socket.onopen = ({ target }) => (target as WebSocket).close();
      else socket.close();
    }
    for (const { reject } of requests.values()) reject(signal.error);
    for (const { view } of [...subscriptions.values()]) view.emit(signal);
    subscriptions.clear();
  }

  function fail(message: string): void {
    if (!worked) blocked("ws");
    end({ type: "lost", error: unreachable(message) });
  }

  // Asks for a sign of life, and takes the connection for dead when none comes. Counted from the question, because
  // timers of a page in the background may be late by a minute.
  function pulse(): void {
    if (now() - heard < HEARTBEAT - 1_000) return beat.set(HEARTBEAT, pulse);
    const asked = now();
    ask("ping", {});
    beat.set(PONG, () => (heard >= asked ? pulse() : fail("Nothing came from the server over the WebSocket.")));
  }

  async function start(): Promise<void> {
    // A browser cannot set the header of an upgrade, so the first message brings the credential.
    beat.clear();
    const token = await http.token(credential.refused);
    beat.set(FIRST_WORD, () => fail("The WebSocket says nothing."));
    const waiting = outbox!;
    outbox = undefined;
    if (!alive) return beat.clear();
    if (token !== undefined) send({ op: "auth", id: 0, token });
    for (const text of waiting) socket!.send(text);
  }

  function receive({ data }: MessageEvent): void {
    heard = now();
    let down: Down;
    try {
      down = JSON.parse(String(data)) as Down;
    } catch {
      return fail("The server sent a message that is not tokentape.v1.");
    }
    if (!worked) {
      worked = true;
      credential.refused = false;
      works("ws");
      pulse();
    }
    answer(down);
    const stream = String(down.stream ?? (down.error as Down | undefined)?.stream);
    const subscription = subscriptions.get(stream);
    if (down.id == null && subscription?.open) pass(stream, subscription, down, String(data).length);
  }

  function answer(down: Down): void {
    const request = requests.get(down.id as number);
    requests.delete(down.id as number);
    if (down.op === "ack") request?.resolve(down.data);
    else request?.reject(errorFrom(down.error));
  }

  function pass(stream: string, subscription: Subscription, down: Down, size: number): void {
    for (const signal of signalsOf(down, size)) {
      if (signal.type !== "item" && signal.type !== "opened") leave(stream, subscription);
      subscription.view.emit(signal);
    }
  }

  function leave(stream: string, subscription: Subscription): boolean {
    if (subscriptions.get(stream) !== subscription) return false;
    subscriptions.delete(stream);
    if (subscriptions.size === 0) linger.set(LINGER, close);
    return true;
  }

  function request(op: string, fields: object): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (!alive) reject(unreachable("The WebSocket is closed."));
      else if (requests.size >= MAX_REQUESTS) {
        reject(new TokentapeError("too_many", `${MAX_REQUESTS} requests wait for their answers.`, { retryable: true }));
      } else requests.set(ask(op, fields), { resolve, reject });
    });
  }

  function close(): void {
    end({ type: "lost", error: unreachable("The client was closed.") });
  }

  function subscribe(view: View): Connection {
    const { stream, from, merge } = view;
    const subscription: Subscription = { view, open: false };
    linger.clear();
    subscriptions.set(stream, subscription);
    requests.set(ask("subscribe", { stream, from, ...(merge ? {} : { merge }) }), {
      // In the same turn as the message came, before the first event.
      resolve(data) {
        if (subscriptions.get(stream) !== subscription) return;
        subscription.open = true;
        pass(stream, subscription, { op: "ack", data }, 0);
      },
      reject(error) {
        if (alive && leave(stream, subscription)) view.emit(refusal(error));
      },
    });
    return {
      close() {
        if (leave(stream, subscription) && alive) ask("unsubscribe", { stream });
      },
      check() {
        if (!alive || outbox) return;
        const asked = now();
        ask("ping", {});
        beat.set(5_000, () => (heard >= asked ? pulse() : fail("The WebSocket does not answer.")));
      },
      request,
    };
  }

  try {
    socket = new WebSocket!(http.address("v1/ws").replace(/^http/, "ws"), "tokentape.v1");
    beat.set(FIRST_WORD, () => fail("The WebSocket does not open."));
    socket.onopen = () =>
      void start().catch((error: unknown) => end({ type: "lost", error: unreachable("The token could not be had.", error) }));
    socket.onmessage = receive;
    socket.onclose = ({ code, reason }) => {
      const signal = closed(code, reason) as Signal & { error: TokentapeError };
      if (code === 3500 && http.refreshable && !credential.refused) {
        // Once more, with a token that is asked for anew.
        credential.refused = true;
        return end({ type: "lost", error: signal.error });
      }
      if (!worked && signal.type === "lost" && code === 1006) blocked("ws");
      end(signal);
    };
  } catch {
    queueMicrotask(() => fail("A WebSocket cannot be opened here."));
  }

  return {
    get alive() {
      return alive;
    },
    get size() {
      return subscriptions.size;
    },
    has: (stream) => subscriptions.has(stream),
    subscribe,
    close,
  };
}
