/**
 * Markdown that grows: its finished blocks are kept, and only what follows them is read again. Pure; no elements here.
 *
 * A block is finished when another one has begun after it. What a stream has not decided yet (`mend.ts`) is shown as
 * what it will most likely be, so that nothing on the screen changes its kind while it is being written.
 */

import { Lexer, type MarkedToken, type Tokens } from "marked";
import { closes, openingFence, undent, type Fence } from "./fence.ts";
import { mend } from "./mend.ts";

export type Block =
  /** `goesOn`: more rows of the table before it. */
  | { readonly kind: "markdown"; readonly raw: string; readonly token: MarkedToken; readonly goesOn?: boolean }
  | { readonly kind: "code"; readonly text: string; readonly language: string; readonly open: boolean }
  /** What would take too long to read as Markdown. */
  | { readonly kind: "plain"; readonly text: string };

export interface Blocks {
  /** The same array, and the same objects in it, as long as they are the same. */
  readonly blocks: readonly Block[];
  /** How many of them will never change. */
  readonly finished: number;
  /** There is more text, which was left for the next update. */
  readonly pending: boolean;
}

export interface BlockReader {
  /** Takes the whole text as it is now; it need not go on from the last one, but that is what is quick. */
  update(text: string, isFinal: boolean): Blocks;
}

/** Characters that are read at once; a block that is longer is no Markdown to us. */
const WINDOW = 8_192;
/** Beyond this a list or a table is cut after what is finished of it, so that what follows is read without that. */
const LONG = 2_048;
/** So many delimiters in a window, and one of four characters: that is no prose, and takes long to match. */
const MANY_DELIMITERS = 500;
/** Milliseconds for one update; the rest of a long text comes with the next ones. */
const BUDGET = 6;

type Links = Record<string, { href: string; title: string | undefined }>;

/** Without a prototype: `[constructor]` is a name like others. */
const noLinks = (): Links => Object.create(null) as Links;

export function createBlocks(now: () => number = () => performance.now()): BlockReader {
  let seen = "";
  let wasFinal = false;
  let result: Blocks = { blocks: [], finished: 0, pending: false };
  /** The finished ones, then those of the tail. */
  let blocks: Block[] = [];
  let finished = 0;
  let tailed = 0;
  /** Everything before this place of the text is in finished blocks. */
  let done = 0;
  let fence: (Fence & { body: number; line: number }) | undefined;
  let links = noLinks();
  /** The head of a table that was cut there. */
  let head = { text: "", at: -1 };

  function restart(): void {
    [seen, blocks, finished, done, fence, links, head] = ["", [], 0, 0, undefined, noLinks(), { text: "", at: -1 }];
  }

  function show(block: Block): void {
    const place = finished + tailed++;
    const held = blocks[place];
    if (!held || !isSame(held, block)) blocks[place] = block;
  }

  function finish(block: Block, end: number): void {
    tailed = 0;
    show(block);
    tailed = 0;
    finished += 1;
    done = end;
  }

  /** Goes on in a fence, line by line; tells whether there is more after it. */
  function readCode(text: string, isFinal: boolean): boolean {
    const opened = fence!;
    const code = (end: number, open: boolean): Block => {
      const body = undent(opened, text.slice(opened.body, Math.max(opened.body, end)));
      return { kind: "code", text: body, language: opened.language, open };
    };
    for (;;) {
      const end = text.indexOf("\n", opened.line);
      const line = text.slice(opened.line, end < 0 ? text.length : end);
      if ((end >= 0 || isFinal) && closes(opened, line)) {
        finish(code(opened.line - 1, false), end < 0 ? text.length : end + 1);
        fence = undefined;
        return true;
      }
      if (end < 0) {
        // A line of nothing but marks may be about to close it.
        const isMarks = !isFinal && /^ {0,3}[`~]+\s*$/.test(line);
        if (isFinal) finish(code(text.length, false), text.length);
        else show(code(isMarks ? opened.line - 1 : text.length, true));
        return false;
      }
      opened.line = end + 1;
    }
  }

  /** Reads the next window; tells whether there is more to read. */
  function readMarkdown(text: string, isFinal: boolean): boolean {
    const start = done;
    const isWhole = text.length - start <= WINDOW;
    const tail = text.slice(start, isWhole ? text.length : start + WINDOW);
    if (enterFence(tail)) return true;
    const before = head.at === start ? head.text : "";
    const tokens = lex(isWhole && !isFinal ? mend(before + tail) : before + tail, links);
    if (!tokens) {
      finish({ kind: "plain", text: tail }, start + tail.length);
      return !isWhole;
    }
    const isAll = isWhole && isFinal;
    const last = isAll ? tokens.length : tokens.findLastIndex(({ type }) => type !== "space");
    let index = 0;
    for (; index < last; index += 1) {
      const token = tokens[index]!;
      // Where marked does not give back what it was given, nothing is known to be finished.
      const raw = index === 0 ? token.raw.slice(before.length) : token.raw;
      if (!isAll && !text.startsWith(raw, done)) break;
      const end = Math.min(text.length, done + raw.length);
      if (token.type === "def") links[token.tag] ??= { href: token.href, title: token.title };
      if (isShown(token)) finish(blockOf(token, index === 0 && before !== ""), end);
      else done = end;
    }
    if (isAll) {
      done = text.length;
      return false;
    }
    if (index === last && enterFence(text.slice(done, done + WINDOW))) return true;
    const rest = index === 0 ? before : "";
    if (index === last && cut(text, tokens[last], rest)) return true;
    if (!isWhole) {
      // One block that is longer than a window.
      if (done === start) finish({ kind: "plain", text: tail }, start + tail.length);
      return true;
    }
    for (const [place, token] of tokens.slice(index).entries()) if (isShown(token)) show(blockOf(token, place === 0 && rest !== ""));
    return false;
  }

  function enterFence(tail: string): boolean {
    const opening = openingFence(tail);
    if (opening) fence = { ...opening, body: done + opening.length, line: done + opening.length };
    return opening !== undefined;
  }

  /** Of a long list or table all but the last item or row are finished. */
  function cut(text: string, token: MarkedToken | undefined, before: string): boolean {
    if (!token || token.raw.length < LONG) return false;
    const raw = token.raw.slice(before.length);
    const length = finishedLength(token, raw);
    if (length === 0 || !text.startsWith(raw.slice(0, length), done)) return false;
    const block = { kind: "markdown", raw: raw.slice(0, length), token: withoutLast(token), goesOn: before !== "" } as const;
    finish(block, done + length);
    if (token.type === "table") head = { text: before || raw.split("\n", 2).join("\n") + "\n", at: done };
    return true;
  }

  return {
    update(given, isFinal) {
      const text = given.includes("\r") ? given.replace(/\r\n?/g, "\n") : given;
      if (text === seen && isFinal === wasFinal && !result.pending) return result;
      // Links may be defined after they are used: at the end all is known.
      const isDefined = isFinal && !wasFinal && /^ {0,3}\[[^\]\n]+\]:/m.test(text);
      if (!text.startsWith(seen) || (wasFinal && text !== seen) || isDefined) restart();
      [seen, wasFinal, tailed] = [text, isFinal, 0];
      const before = result.blocks;
      blocks = [...blocks];
      const deadline = now() + BUDGET;
      let more = done < text.length;
      while (more && now() < deadline) more = (fence ? readCode : readMarkdown)(text, isFinal) && done < text.length;
      blocks.length = Math.min(blocks.length, finished + tailed);
      const isAsBefore = blocks.length === before.length && blocks.every((block, place) => block === before[place]);
      result = { blocks: isAsBefore ? before : blocks, finished, pending: more };
      return result;
    },
  };
}

/** How much of a list or a table is there for sure. */
function finishedLength(token: MarkedToken, raw: string): number {
  if (token.type === "list" && token.items.length > 1) return raw.length - token.items.at(-1)!.raw.length;
  return token.type === "table" && token.rows.length > 1 ? raw.trimEnd().lastIndexOf("\n") + 1 : 0;
}

function withoutLast(token: MarkedToken): MarkedToken {
  if (token.type === "list") return { ...token, items: token.items.slice(0, -1) };
  return token.type === "table" ? { ...token, rows: token.rows.slice(0, -1) } : token;
}

function blockOf(token: MarkedToken, goesOn: boolean): Block {
  if (token.type !== "code") return { kind: "markdown", raw: token.raw, token, goesOn };
  return { kind: "code", text: token.text, language: token.lang?.split(/\s/, 1)[0] ?? "", open: false };
}

const isShown = ({ type }: MarkedToken): boolean => type !== "space" && type !== "def";

function isSame(one: Block, other: Block): boolean {
  if (one.kind === "markdown") return other.kind === "markdown" && one.raw === other.raw && one.token.type === other.token.type && one.goesOn === other.goesOn;
  if (one.kind === "plain") return other.kind === "plain" && one.text === other.text;
  return other.kind === "code" && one.text === other.text && one.language === other.language && one.open === other.open;
}

/** The tokens of a text; undefined for what is made to take long. */
function lex(text: string, links: Links): MarkedToken[] | undefined {
  const delimiters = text.match(/[*_[\]`<>|~]/g)?.length ?? 0;
  if (delimiters > MANY_DELIMITERS && delimiters * 4 > text.length) return undefined;
  // Quotes in quotes in quotes, and lists in lists, are read by recursion.
  if (/^(?:[ \t]*(?:>|[-+*][ \t]|\d{1,9}[.)][ \t])){12}/m.test(text)) return undefined;
  const lexer = new Lexer({ gfm: true });
  Object.assign(lexer.tokens.links, links);
  try {
    return lexer.lex(text) as (MarkedToken & Tokens.Generic)[];
  } catch {
    return undefined;
  }
}
