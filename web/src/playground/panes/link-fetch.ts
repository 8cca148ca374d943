/** `fetch` over a link. */

import { bearsText, type Wire } from "./link.ts";
import { createLinkQueue } from "./link-queue.ts";

const NEWLINE = 10;
/** Bytes of a block that wait for its end; a longer one passes in pieces. */
const MAX_BLOCK = 4_194_304;

const broke = (): TypeError => new TypeError("The network was cut.");

export function createLinkedFetch(wire: Wire): typeof fetch {
  return async (input, init) => {
    wire.tried();
    if (!wire.up) throw broke();
    const broken = new AbortController();
    const forget = wire.open(() => broken.abort(broke()));
    const signal = init?.signal ? AbortSignal.any([init.signal, broken.signal]) : broken.signal;
    try {
      const response = await fetch(input, { ...init, signal });
      if (response.status !== 200 || !response.body) {
        forget();
        return response;
      }
      const { status, statusText, headers } = response;
      return new Response(linked(response.body, { wire, signal, forget }), { status, statusText, headers });
    } catch (error) {
      forget();
      throw error;
    }
  };
}

interface LinkedOptions {
  wire: Wire;
  /** The link was cut, or the client has let go. */
  signal: AbortSignal;
  forget: () => void;
}

function linked(body: ReadableStream<Uint8Array>, { wire, signal, forget }: LinkedOptions): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const blocks = createBlocks(wire);
  let wanted = Promise.withResolvers<void>();
  let full = false;
  let leave = forget;

  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const queue = createLinkQueue<Uint8Array>({
          wire,
          hand: (block, from, to) => controller.enqueue(block.subarray(from, to)),
          overflow() {
            full = true;
            reader.cancel().catch(() => {}); // it may have broken meanwhile
          },
          over() {
            leave();
            if (full) controller.error(broke());
            else controller.close();
          },
        });
        // The body itself may be at its end while the queue still holds some of it.
        const fail = (error: unknown): void => {
          leave();
          controller.error(error);
        };
        const aborted = (): void => fail(signal.reason);
        signal.addEventListener("abort", aborted);
        leave = () => {
          signal.removeEventListener("abort", aborted);
          queue.close();
          forget();
        };
        const read = async (): Promise<void> => {
          for (;;) {
            // A link with a limit has a queue of its own; without one nothing is read ahead of the client.
            if (!wire.slow && controller.desiredSize! <= 0) await wanted.promise;
            const { done, value } = await reader.read();
            if (done) break;
            for (const block of blocks(value)) queue.take(block);
          }
          queue.end();
        };
        read().catch(fail);
      },
      pull() {
        wanted.resolve();
        wanted = Promise.withResolvers();
      },
      cancel(reason) {
        leave();
        return reader.cancel(reason);
      },
    },
    { highWaterMark: 1 },
  );
}

/** Whole blocks of an event stream, without the one that is to be lost. */
function createBlocks(wire: Wire): (piece: Uint8Array) => Uint8Array[] {
  let begun: Uint8Array = new Uint8Array();
  return (piece) => {
    const all = begun.length ? joined(begun, piece) : piece;
    const blocks: Uint8Array[] = [];
    if (!wire.slow && !wire.losing) {
      // Nothing is to be done with them: they pass as they came.
      const end = lastBlockEnd(all);
      begun = all.subarray(end);
      return end > 0 ? [all.subarray(0, end)] : blocks;
    }
    let start = 0;
    for (let end = blockEnd(all, start); end > 0; end = blockEnd(all, start)) {
      const block = all.subarray(start, end);
      if (wire.losing && bearsText(new TextDecoder().decode(block))) wire.lost();
      else blocks.push(block);
      start = end;
    }
    begun = all.subarray(start);
    if (begun.length > MAX_BLOCK) {
      blocks.push(begun);
      begun = new Uint8Array();
    }
    return blocks;
  };
}

/** Where the first empty line after `start` ends; 0 when there is none. */
function blockEnd(text: Uint8Array, start: number): number {
  for (let at = text.indexOf(NEWLINE, start); at >= 0; at = text.indexOf(NEWLINE, at + 1)) {
    if (text[at + 1] === NEWLINE) return at + 2;
  }
  return 0;
}

function lastBlockEnd(text: Uint8Array): number {
  for (let at = text.lastIndexOf(NEWLINE); at > 0; at = text.lastIndexOf(NEWLINE, at - 1)) {
    if (text[at - 1] === NEWLINE) return at + 1;
  }
  return text.length > MAX_BLOCK ? text.length : 0;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
