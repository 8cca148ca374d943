/** Event streams of the server's own, of which each event is one line of `data`: text in, data out. */

/** In characters; a sample has a few hundred. */
const MAX_LINE = 65_536;

export function createLines(): (text: string) => string[] {
  let rest = "";
  return (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    if (rest.length > MAX_LINE) throw new Error(`A line is longer than ${MAX_LINE} characters.`);
    return lines.filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
  };
}
