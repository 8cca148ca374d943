/** A server with keys: tokens that are refused and renewed. */

import { afterAll, beforeAll, expect, test } from "vitest";
import { all, clientOf, HELLO, room, TRANSPORTS } from "./rig.ts";
import { startServer, type TokentapeServer } from "./server.ts";

const KEY = "sk-tape-0123456789abcdef0123456789abcdef";

let locked: TokentapeServer;

beforeAll(async () => {
  locked = await startServer({ TOKENTAPE_AUTH_API_KEYS: KEY });
});

afterAll(() => locked.kill());

test.each(TRANSPORTS)("asks for another token when one is refused, over %s", async (transport) => {
  const asked: boolean[] = [];
  let stale = true;
  const token = (refresh: boolean): string => {
    asked.push(refresh);
    if (refresh) stale = false;
    return stale ? "old" : KEY;
  };
  const client = clientOf({ url: locked.url, transport, token });
  const watch = client.watch(room(), { from: "now" })[Symbol.asyncIterator]();
  expect((await watch.next()).value).toMatchObject({ type: "ready" });
  expect(asked.slice(0, 2)).toEqual([false, true]);
  const run = await client.run({ messages: HELLO, simulated: { rate: 0, tokens: 3 } });
  expect((await run.done).state).toBe("stop");
  await watch.return!();
});

test.each(TRANSPORTS)("refuses one that stays wrong, over %s", async (transport) => {
  const client = clientOf({ url: locked.url, transport, token: "wrong" });
  await expect(all(client.watch("room"))).rejects.toMatchObject({ code: "unauthorized" });
  await expect(client.run({ messages: HELLO })).rejects.toMatchObject({ code: "unauthorized", status: 401 });
});
