import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLink } from "./link.ts";

const BLOCK = `data: ${"x".repeat(492)}\n\n`;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A link to a server that says all it has to say at once. */
async function open({ blocks, isOver }: { blocks: number; isOver: boolean }, init?: RequestInit) {
  vi.stubGlobal("fetch", async (_: unknown, { signal }: { signal: AbortSignal }) => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        signal.addEventListener("abort", () => controller.error(signal.reason));
        for (let count = 0; count < blocks; count += 1) controller.enqueue(new TextEncoder().encode(BLOCK));
        if (isOver) controller.close();
      },
    });
    return new Response(body, { status: 200 });
  });
  let came = 0;
  const link = createLink({ came: (bytes) => (came += bytes), tried() {} });
  link.rate = 2_000;
  const reader = (await link.fetch("http://server/", init)).body!.getReader();
  return { link, reader, came: () => came };
}

/** Reads up to the end, and returns how it ended. */
async function drained(reader: ReadableStreamDefaultReader): Promise<string> {
  try {
    while (!(await reader.read()).done);
    return "end";
  } catch (error) {
    return (error as Error).message;
  }
}

test("what waits on a slow link comes, and then its end", async () => {
  const { reader, came } = await open({ blocks: 4, isOver: true });
  const end = drained(reader);
  await vi.advanceTimersByTimeAsync(900);
  expect(came()).toBeLessThan(4 * 500);
  await vi.advanceTimersByTimeAsync(900);
  expect([await end, came()]).toEqual(["end", 4 * 500]);
});

test.each([
  ["the server has said all", { blocks: 4, isOver: true }],
  ["the link has hung up", { blocks: 40, isOver: false }],
])("a cut stops what waits, also when %s", async (_, said) => {
  const { link, reader, came } = await open(said);
  const end = drained(reader);
  await vi.advanceTimersByTimeAsync(350);
  link.cut();
  const passed = came();
  await vi.advanceTimersByTimeAsync(10_000);
  expect([await end, came()]).toEqual(["The network was cut.", passed]);
});

test.each(["aborts", "cancels"])("nothing is handed to a client that %s", async (how) => {
  const gone = new AbortController();
  const { reader, came } = await open({ blocks: 4, isOver: true }, { signal: gone.signal });
  await vi.advanceTimersByTimeAsync(350);
  if (how === "aborts") gone.abort();
  else await reader.cancel();
  const passed = came();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(came()).toBe(passed);
});
