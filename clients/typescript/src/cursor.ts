/** A position in a stream: `<epoch>-<offset>`, "I have everything up to and including offset". */

export interface Cursor {
  readonly epoch: string;
  /** 0 is before the first event. */
  readonly offset: number;
}

/** Reads the wire form; undefined for anything else, as `start`, `now` and `snapshot` are. */
export function parseCursor(text: unknown): Cursor | undefined {
  const match = typeof text === "string" && /^([0-9a-z]{1,16})-([0-9]{1,20})$/.exec(text);
  const offset = match ? Number(match[2]) : NaN;
  return match && Number.isSafeInteger(offset) ? { epoch: match[1]!, offset } : undefined;
}
