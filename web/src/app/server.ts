/** The server that these pages are from, and the one client that all of a page shares. */

import { createClient } from "tokentape";
import { IN_TAB, keep, readKept } from "./kept.ts";

/** Ends with a slash; the pages may be mounted under any path. */
export const BASE = new URL(".", document.baseURI).href;

const KEY = "tokentape.key";

// For as long as the tab is open: a key on disk would outlive the person who typed it.
let key = readKept(IN_TAB, KEY) ?? "";
let ask: ((refused: boolean) => Promise<string>) | undefined;
let asking: Promise<string> | undefined;
let refused: (() => void) | undefined;

/** Says who is told when the server has refused a request for want of a key: before somebody is asked for one. */
export function whenRefused(listener: typeof refused): void {
  refused = listener;
}

/** Says who asks the person for a key when the server wants one. */
export function askForKey(asking: typeof ask): void {
  ask = asking;
}

/** The key, if any; after a refusal, a new one from the person. */
export async function token(wasRefused: boolean): Promise<string> {
  if (wasRefused) refused?.();
  if (!wasRefused || !ask) return key;
  // Requests that were under way together are refused one after the other: the key may be another one by now.
  const tried = key;
  if ((tried !== "" && (await isAccepted(tried))) || key !== tried) return key;
  asking ??= newKey(tried, ask).finally(() => {
    asking = undefined;
  });
  return asking;
}

/** One that the server accepts: to whoever waits for it a second refusal would be the last. Nothing when nobody has one. */
async function newKey(tried: string, ask: (refused: boolean) => Promise<string>): Promise<string> {
  let given = tried;
  do given = await ask(given !== "");
  while (given !== "" && !(await isAccepted(given)));
  key = given;
  keep(IN_TAB, KEY, key);
  return key;
}

async function isAccepted(tried: string): Promise<boolean> {
  const headers = { Authorization: `Bearer ${tried}` };
  // A server that does not answer has refused nothing.
  return fetch(link("v1/models"), { headers }).then(({ status }) => status !== 401, () => true);
}

export const client = createClient({ url: BASE, token });

/** The address of a route of this server: `link("v1/runs")`. */
export const link = (path: string): string => new URL(path, BASE).href;
