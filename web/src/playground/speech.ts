/** What to read out of an answer that grows: whole sentences, without Markdown's marks and without code. Pure. */

import type { Message } from "tokentape";

export interface Speech {
  /** What is new and whole since the last time; with `isFinal` what is left. */
  next(text: string, isFinal: boolean): string;
  /** All of this has been heard. */
  skip(text: string): void;
}

/** Characters that are read out at once; what is more is skipped, or the voice would never catch up. */
const MAX_SAID = 280;
/** Characters that are looked at for that. */
const MAX_READ = 2_000;

export function createSpeech(): Speech {
  let said = 0;
  let isCode = false;

  /** Goes on to there; returns what is to be read of it. */
  function pass(text: string, end: number): string {
    const prose = withoutCode(text.slice(said, end), isCode);
    said = end;
    isCode = prose.isCode;
    return prose.text;
  }

  return {
    skip(text) {
      pass(text, text.length);
    },
    next(text, isFinal) {
      if (text.length < said) {
        // It began anew.
        said = 0;
        isCode = false;
      }
      // Of what came too fast only the end is of interest.
      pass(text, Math.max(said, text.length - MAX_READ));
      const end = isFinal ? text.length : said + lastEnd(text.slice(said));
      const words = plain(pass(text, end));
      return words.length > MAX_SAID ? `${words.slice(0, MAX_SAID).replace(/\s\S*$/, "")}…` : words;
    },
  };
}

/** After the last sentence, or line, that is whole. */
function lastEnd(text: string): number {
  let end = 0;
  for (const match of text.matchAll(/[.!?…:](?=\s)|\n+/g)) end = match.index + match[0].length;
  return end;
}

const FENCE = /^ {0,3}(?:```|~~~)/;

/** Code comes in pieces as well: each of them has to know whether it begins within some. */
function withoutCode(text: string, isCode: boolean): { text: string; isCode: boolean } {
  const lines: string[] = [];
  for (const line of text.split("\n")) {
    if (FENCE.test(line)) {
      isCode = !isCode;
      if (isCode) lines.push("(code)");
    } else if (!isCode) lines.push(line);
  }
  return { text: lines.join("\n"), isCode };
}

function plain(text: string): string {
  return text
    .replace(/!?\[([^[\]]{0,200})\]\([^()]{0,500}\)/g, "$1")
    .replace(/^[ \t]*(?:[#>*+-]+|\d+\.) /gm, "")
    .replace(/[*_`~|]+/g, "")
    .replace(/\s+/g, " ")
    .trim();
}

export function ending({ state }: Message): string {
  if (state === "running" || state === undefined) return "";
  if (state === "stop" || state === "tool_calls") return "The answer is complete.";
  return `The answer has ended: ${state}.`;
}
