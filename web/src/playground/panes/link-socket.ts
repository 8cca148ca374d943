/**
 * `WebSocket` over a link.
 *
 * A page cannot make a WebSocket wait: the browser reads it as fast as it comes. So a slow link keeps what has come, up to
 * a bound, and hands it on at its pace; beyond the bound it hangs up after what it holds. The client then resumes from its
 * cursor, and the server merges what it had not sent.
 */

import { bearsText, type Wire } from "./link.ts";

/** Characters that wait on a slow link: few, as the queue of a slow modem is short. */
const MAX_HELD = 8_192;
const ABNORMAL = 1006;

type Handler<E> = ((event: E) => void) | null;

export function createLinkedSocket(wire: Wire): typeof WebSocket {
  /** As much of a WebSocket as the client uses, which gives itself its handlers. */
  class LinkedSocket {
    onopen: Handler<Event> = null;
    onmessage: Handler<MessageEvent> = null;
    onclose: Handler<CloseEvent> = null;
    readonly #real: WebSocket | undefined;
    readonly #held: MessageEvent<string>[] = [];
    #size = 0;
    #passing = false;
    #hangUp = false;
    #over = false;
    #forget = (): void => {};

    constructor(url: string, protocols?: string | string[]) {
      wire.tried();
      if (!wire.up) {
        setTimeout(() => this.#end(new CloseEvent("close", { code: ABNORMAL })));
        return;
      }
      this.#forget = wire.open(() => this.#break());
      this.#real = new WebSocket(url, protocols);
      this.#real.onopen = (event) => (this.#over ? this.#real?.close() : this.onopen?.(event));
      this.#real.onmessage = (event) => this.#receive(event);
      this.#real.onclose = (event) => {
        // What came before it is still on its way.
        if (this.#passing) this.#hangUp = true;
        else this.#end(event);
      };
    }

    get readyState(): number {
      return this.#over ? WebSocket.CLOSED : (this.#real?.readyState ?? WebSocket.CONNECTING);
    }

    send(data: string): void {
      if (!this.#over) this.#real?.send(data);
    }

    close(code?: number, reason?: string): void {
      this.#forget();
      this.#over = true;
      this.#close(code, reason);
    }

    #receive(event: MessageEvent<string>): void {
      if (this.#over || this.#hangUp) return;
      if (wire.losing && bearsText(event.data)) return wire.lost();
      if (!wire.slow && !this.#passing) return this.#hand(event);
      this.#held.push(event);
      this.#size += event.data.length;
      // One that is larger than the bound, a backlog, still has to pass.
      if (this.#size > MAX_HELD && this.#held.length > 1) {
        this.#hangUp = true;
        this.#close();
      }
      void this.#pass();
    }

    async #pass(): Promise<void> {
      if (this.#passing) return;
      this.#passing = true;
      for (let event = this.#held[0]; event && !this.#over; event = this.#held[0]) {
        for (let rest = event.data.length; rest > 0 && !this.#over; ) {
          const size = await wire.pass(rest);
          rest -= size;
          if (!this.#over) wire.came(size);
        }
        this.#held.shift();
        this.#size -= event.data.length;
        if (!this.#over) this.onmessage?.(event);
      }
      this.#passing = false;
      if (this.#hangUp) this.#end(new CloseEvent("close", { code: ABNORMAL }));
    }

    #hand(event: MessageEvent<string>): void {
      wire.came(event.data.length);
      this.onmessage?.(event);
    }

    #break(): void {
      this.#close();
      this.#end(new CloseEvent("close", { code: ABNORMAL }));
    }

    /** While it opens it is left alone: a browser would warn of a connection that failed. */
    #close(code?: number, reason?: string): void {
      if (this.#real?.readyState === WebSocket.OPEN) this.#real.close(code, reason);
    }

    #end(event: CloseEvent): void {
      if (this.#over) return;
      this.#over = true;
      this.#forget();
      this.#held.length = 0;
      this.onclose?.(event);
    }
  }
  return LinkedSocket as unknown as typeof WebSocket;
}
