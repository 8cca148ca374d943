/** The laws of the decoder, for streams that nobody thought of. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { createSseDecoder, type ServerSentEvent } from "../src/sse.ts";
import { createSseReading } from "../src/sse-wire.ts";

/** Bits of event streams, whole and broken. */
const piece = fc.oneof(
  fc.constantFrom("data: ", "data", "id: ", "event: ", "retry: ", ":", "\n", "\r", "\r\n", "\n\n", "\0", " ", "\ufeff", "[DONE]", "1", "é", "👋"),
  fc.constantFrom('{"type":"token","data":"x"}', '{"type":"ready","data":{}}', "id: e1-1\ndata: {}\n\n"),
  fc.string({ maxLength: 4 }),
);
const stream = fc.array(piece, { maxLength: 40 }).map((pieces) => new TextEncoder().encode(pieces.join("")));

/** Where to cut a stream: a part of each length in turn. */
const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 });

function parts(bytes: Uint8Array, lengths: number[]): Uint8Array[] {
  const cut: Uint8Array[] = [];
  for (let start = 0; start < bytes.length; start += cut.at(-1)!.length) {
    cut.push(bytes.slice(start, start + lengths[cut.length % lengths.length]!));
  }
  return cut;
}

function decode(parts: Uint8Array[], limits = {}): { events: ServerSentEvent[]; fault: boolean; retry: number | undefined } {
  const decoder = createSseDecoder(limits);
  const utf8 = new TextDecoder();
  const events: ServerSentEvent[] = [];
  try {
    for (const part of parts) events.push(...decoder.receive(utf8.decode(part, { stream: true })));
    decoder.receive("");
  } catch {
    return { events, fault: true, retry: decoder.retry };
  }
  return { events, fault: false, retry: decoder.retry };
}

test("how a stream is cut changes nothing", () => {
  fc.assert(
    fc.property(stream, lengths, (bytes, lengths) => {
      expect(decode(parts(bytes, lengths))).toEqual(decode([bytes]));
    }),
  );
});

test("nor where a limit is passed", () => {
  fc.assert(
    fc.property(stream, lengths, (bytes, lengths) => {
      const limits = { maxLine: 8, maxEvent: 12 };
      const [cut, whole] = [decode(parts(bytes, lengths), limits), decode([bytes], limits)];
      // A retry in the same text as the fault may be told or not.
      expect([cut.events, cut.fault]).toEqual([whole.events, whole.fault]);
    }),
  );
});

test("the reading hands out the same signals up to the fault", () => {
  fc.assert(
    fc.property(stream, lengths, (bytes, lengths) => {
      const read = (parts: Uint8Array[]): string[] => {
        const receive = createSseReading();
        const utf8 = new TextDecoder();
        const told: string[] = [];
        for (const part of parts) {
          for (const signal of receive(utf8.decode(part, { stream: true }))) {
            if (signal.type !== "retry" && !told.includes("lost")) {
              told.push(signal.type === "lost" ? "lost" : JSON.stringify(signal));
            }
          }
        }
        return told;
      };
      expect(read(parts(bytes, lengths))).toEqual(read([bytes]));
    }),
  );
});

test("a long line that comes in small parts takes linear time", () => {
  const decoder = createSseDecoder();
  decoder.receive("data: ");
  for (let sent = 0; sent < 1_000_000; sent += 10) decoder.receive("0123456789");
  expect(decoder.receive("\n\n")[0]!.data).toHaveLength(1_000_000);
});
