/** `WebSocket` over a link. */

import { bearsText, type Wire } from "./link.ts";
import { createLinkQueue } from "./link-queue.ts";

/** How a browser tells of a connection that broke. */
const ABNORMAL = 1006;

type Handler<E> = ((event: E) => void) | null;

export function createLinkedSocket(wire: Wire): typeof WebSocket {
  /** As much of a WebSocket as the client uses, which gives it its handlers as properties. */
  class LinkedSocket {
    onopen: Handler<Event> = null;
    onmessage: Handler<MessageEvent> = null;
    onclose: Handler<CloseEvent> = null;
    readonly #real: WebSocket | undefined;
    #over = false;
    #farewell = new CloseEvent("close", { code: ABNORMAL });
    #forget = (): void => {};
    readonly #queue = createLinkQueue<string>({
      wire,
      hand: (message, _, to) => {
        // Unlike a body, a message is there when all of it is.
        if (to === message.length) this.onmessage?.(new MessageEvent("message", { data: message }));
      },
      overflow: () => {
        this.#close();
        // It ends when the last of the queue has passed, and what still comes is not taken.
        if (this.#real) this.#real.onmessage = this.#real.onclose = null;
      },
      over: () => this.#end(),
    });

    constructor(url: string, protocols?: string | string[]) {
      wire.tried();
      if (!wire.up) {
        setTimeout(() => this.#end());
        return;
      }
      this.#forget = wire.open(() => {
        this.#close();
        this.#end();
      });
      const real = new WebSocket(url, protocols);
      this.#real = real;
      real.onopen = (event) => (this.#over ? real.close() : this.onopen?.(event));
      real.onmessage = ({ data }: MessageEvent<string>) => {
        if (this.#over) return;
        if (wire.losing && bearsText(data)) wire.lost();
        else this.#queue.take(data);
      };
      real.onclose = (event) => {
        this.#farewell = event;
        this.#queue.end();
      };
    }

    get readyState(): number {
      return this.#over ? WebSocket.CLOSED : (this.#real?.readyState ?? WebSocket.CONNECTING);
    }

    send(data: string): void {
      // What is hung up may still have something to hand over, and seems open so long.
      if (!this.#over && this.#real?.readyState === WebSocket.OPEN) this.#real.send(data);
    }

    close(code?: number, reason?: string): void {
      this.#over = true;
      this.#forget();
      this.#queue.close();
      this.#close(code, reason);
    }

    /** While it opens it is left alone: a browser would warn of a connection that failed. */
    #close(code?: number, reason?: string): void {
      if (this.#real?.readyState === WebSocket.OPEN) this.#real.close(code, reason);
    }

    #end(): void {
      if (this.#over) return;
      this.#over = true;
      this.#forget();
      this.#queue.close();
      this.onclose?.(new CloseEvent("close", { code: this.#farewell.code, reason: this.#farewell.reason }));
    }
  }
  return LinkedSocket as unknown as typeof WebSocket;
}
