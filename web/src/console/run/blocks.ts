/**
 * A long text in parts that each end with a line, so that a text that grows is laid out anew in its last part only.
 * Joined they are the text again.
 */

/** Characters of a part, at least, where it has lines. */
const PART = 1500;

export function blocksOf(text: string): string[] {
  const blocks: string[] = [];
  for (let start = 0; start < text.length; ) {
    const line = text.indexOf("\n", start + PART);
    // The break of the line stays with it: at the end of a block it makes no empty line.
    const end = line < 0 ? text.length : line + 1;
    blocks.push(text.slice(start, end));
    start = end;
  }
  return blocks;
}
