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
  return {
    skip(text) {
      said = text.length;
    },
    next(text, isFinal) {
      // It began anew.
      if (text.length < said) said = 0;
      // Of what came too fast only the end is of interest.
      said = Math.max(said, text.length - MAX_READ);
      const rest = text.slice(said);
      const end = isFinal ? rest.length : lastEnd(rest);
      if (end === 0) return "";
      said += end;
      const words = plain(rest.slice(0, Math.min(end, MAX_READ)));
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

function plain(text: string): string {
  return text
    .replace(/```[^\n]*\n[\s\S]*?(?:```|$)/g, " (code) ")
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
