/** `fetch` over a link. A body that is read slowly is real: the server's socket fills up, and it merges what it holds back. */

import { bearsText, type Wire } from "./link.ts";

const NEWLINE = 10;
/** Bytes of a block that wait for its end; a longer one passes in pieces. */
const MAX_BLOCK = 4_194_304;

export function createLinkedFetch(wire: Wire): typeof fetch {
  return async (input, init) => {
    wire.tried();
    if (!wire.up) throw new TypeError("The network was cut.");
    const broken = new AbortController();
    const forget = wire.open(() => broken.abort(new TypeError("The network was cut.")));
    const signal = init?.signal ? AbortSignal.any([init.signal, broken.signal]) : broken.signal;
    try {
      const response = await fetch(input, { ...init, signal });
      if (!response.body) {
        forget();
        return response;
      }
      const { status, statusText, headers } = response;
      return new Response(paced(response.body, wire, forget, broken.signal), { status, statusText, headers });
    } catch (error) {
      forget();
      throw error;
    }
  };
}

/** Holds one piece at most, and asks for the next when it has passed. */
function paced(body: ReadableStream<Uint8Array>, wire: Wire, over: () => void, broken: AbortSignal): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const blocks = createBlocks(wire);
  let held: Uint8Array = new Uint8Array();
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          while (held.length === 0) {
            const { done, value } = await reader.read();
            if (done) {
              over();
              return controller.close();
            }
            held = blocks(value);
          }
          const size = await wire.pass(held.length);
          broken.throwIfAborted();
          controller.enqueue(held.subarray(0, size));
          held = held.subarray(size);
          wire.came(size);
        } catch (error) {
          over();
          controller.error(error);
        }
      },
      cancel(reason) {
        over();
        return reader.cancel(reason);
      },
    },
    // Nothing is read ahead of the client.
    { highWaterMark: 0 },
  );
}

/** Passes on whole blocks of an event stream, without the one that is to be lost. */
function createBlocks(wire: Wire): (piece: Uint8Array) => Uint8Array {
  let begun: Uint8Array = new Uint8Array();
  return (piece) => {
    const all = begun.length ? joined(begun, piece) : piece;
    const end = all.length > MAX_BLOCK ? all.length : blockEnd(all);
    begun = all.subarray(end);
    const whole = all.subarray(0, end);
    if (!wire.losing) return whole;
    const blocks = new TextDecoder().decode(whole).split(/(?<=\n\n)/);
    const lost = blocks.findIndex(bearsText);
    if (lost < 0) return whole;
    wire.lost();
    return new TextEncoder().encode(blocks.toSpliced(lost, 1).join(""));
  };
}

/** Where the last empty line ends; 0 when there is none. */
function blockEnd(text: Uint8Array): number {
  let end = text.length;
  while (end > 0 && !(text[end - 1] === NEWLINE && text[end - 2] === NEWLINE)) end -= 1;
  return end;
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  const all = new Uint8Array(first.length + second.length);
  all.set(first);
  all.set(second, first.length);
  return all;
}
