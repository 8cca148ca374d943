/**
 * What a half-written piece of Markdown will most likely be. Pure.
 *
 * The end of a stream is full of openings: a `-` that may become a list, a rule or a heading's underline; `**` without
 * its other half; a table of which there is one row. Shown as they are they would flicker from one thing to another.
 */

/** Lines of nothing but marks are held back until it is known what they begin. */
const UNDECIDED = /^[ \t>]*(?:[-+*_=~`#|:. \t]*|\d{1,9}[.)]?[ \t]*|[-+*] \[[ xX]?\]?[ \t]*|(?:`{3}|~{3})[^\n]*|<[^\s>]*|\[[^\]]{0,80}(?:\](?::[^\n]*)?)?)$/;

/** Completes the end of a text that goes on. */
export function mend(text: string): string {
  return mendInline(mendTable(hold(text)));
}

function hold(text: string): string {
  const start = text.lastIndexOf("\n") + 1;
  return start < text.length && UNDECIDED.test(text.slice(start)) ? text.slice(0, start) : text;
}

/** A header alone is a table already. */
function mendTable(text: string): string {
  const lines = text.trimEnd().split("\n");
  const header = lines.at(-1)!;
  const isRow = (line: string | undefined): boolean => line !== undefined && /^ {0,3}\|/.test(line);
  if (!isRow(header) || isRow(lines.at(-2)) || /\n[ \t]*\n$/.test(text)) return text;
  const row = /[^\\]\|$/.test(header) ? header : `${header} |`;
  const cells = (row.match(/(?<!\\)\|/g)?.length ?? 0) - 1;
  return cells < 1 ? text : `${[...lines.slice(0, -1), row].join("\n")}\n${"|---".repeat(cells)}|`;
}

/** Closes what was opened in the last paragraph, item or cell. */
function mendInline(text: string): string {
  if (/\n\s*$/.test(text)) return text;
  const start = Math.max(text.lastIndexOf("\n\n") + 2, lastMatch(text, /^[ \t]*(?:[-+*]|\d{1,9}[.)]|#{1,6}|>) |^ {0,3}\|/gm), 0);
  const line = text.slice(start);
  // The rows of a table end themselves.
  if (/^[^\n]*\|\n|^\|?[-:| ]+\|$/m.test(line)) return text;
  const { closers, kept } = open(unlink(line.replace(/(?<!\\)[*_~`]+$/, "")));
  return text.slice(0, start) + kept + closers;
}

function lastMatch(text: string, pattern: RegExp): number {
  let place = 0;
  for (const match of text.slice(-2_000).matchAll(pattern)) place = match.index + match[0].length + Math.max(0, text.length - 2_000);
  return place;
}

/** Of a link that is not complete its words. */
function unlink(line: string): string {
  const match = /!?\[([^[\]\n]*)(?:\]\([^()\n]*)?$/.exec(line);
  return match ? line.slice(0, match.index) + match[1] : line;
}

/** What is open at the end of a line, and how it is closed. */
function open(line: string): { kept: string; closers: string } {
  const stack: string[] = [];
  const pattern = /\\.|(`+)|(\*{1,3}|_{1,3}|~~)/gs;
  for (let match = pattern.exec(line); match; match = pattern.exec(line)) {
    const [found, ticks, mark] = match;
    if (ticks) {
      const end = closing(line, ticks, pattern.lastIndex);
      if (end < 0) return { kept: line, closers: pattern.lastIndex < line.length ? ticks : "" };
      pattern.lastIndex = end;
    } else if (mark) {
      const before = line[match.index - 1] ?? " ";
      const after = line[match.index + found.length] ?? " ";
      if (mark.startsWith("_") && /\w/.test(before) && /\w/.test(after)) continue;
      if (stack.includes(mark) && /\S/.test(before)) stack.length = stack.lastIndexOf(mark);
      else if (/\S/.test(after)) stack.push(mark);
    }
  }
  return { kept: line.trimEnd(), closers: stack.reverse().join("") };
}

/** Where a code span ends that was opened by so many ticks. */
function closing(line: string, ticks: string, from: number): number {
  for (const match of line.slice(from).matchAll(/`+/g)) if (match[0] === ticks) return from + match.index + ticks.length;
  return -1;
}
