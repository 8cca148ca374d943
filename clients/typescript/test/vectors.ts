/** The vectors of conformance/, which the clients in all languages pass. */

import { readFileSync } from "node:fs";

export function cases<T>(name: string): T[] {
  const file = new URL(`../../../conformance/${name}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { cases: T[] }).cases;
}

/** Calls `take` with the parts of a text of bytes, each `cut` long. */
export function inParts(bytes: Uint8Array, cut: number, take: (part: Uint8Array) => void): void {
  for (let start = 0; start < bytes.length; start += cut) take(bytes.subarray(start, start + cut));
}
