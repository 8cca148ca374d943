/** Tokens of Markdown as elements of ours. There is no way from a text to markup: what looks like HTML is shown. */

import { Fragment, type ReactNode } from "react";
import type { MarkedToken, Tokens } from "marked";
import { CodeBlock } from "./code-block.tsx";
import { Link, Picture } from "./link.tsx";

/** Deeper than anybody writes: what is below is shown as it was written. */
const MAX_DEPTH = 24;

interface ContentProps {
  tokens: readonly MarkedToken[] | undefined;
  depth?: number;
  /** The table among them has its head above. */
  goesOn?: boolean | undefined;
}

export function Content({ tokens, depth = 0, goesOn }: ContentProps) {
  return tokens?.map((token, place) => <Fragment key={place}>{element(token, depth + 1, goesOn)}</Fragment>);
}

function element(token: MarkedToken, depth: number, goesOn?: boolean): ReactNode {
  if (depth > MAX_DEPTH) return token.raw;
  const inside = (tokens: Tokens.Generic[] | undefined): ReactNode => (
    <Content tokens={tokens as MarkedToken[] | undefined} depth={depth} />
  );
  switch (token.type) {
    case "paragraph":
      return <p>{inside(token.tokens)}</p>;
    case "heading":
      return <Heading level={token.depth}>{inside(token.tokens)}</Heading>;
    case "list":
      return <List token={token} depth={depth} />;
    case "blockquote":
      return <blockquote>{inside(token.tokens)}</blockquote>;
    case "table":
      return <Table token={token} depth={depth} hasHead={!goesOn} />;
    case "code":
      return <CodeBlock text={token.text} language={token.lang?.split(/\s/, 1)[0] ?? ""} open={false} />;
    case "hr":
      return <hr />;
    case "text":
      return "tokens" in token && token.tokens ? inside(token.tokens) : unescaped(token.text);
    case "strong":
      return <strong>{inside(token.tokens)}</strong>;
    case "em":
      return <em>{inside(token.tokens)}</em>;
    case "del":
      return <del>{inside(token.tokens)}</del>;
    case "codespan":
      return <code>{token.text}</code>;
    case "br":
      return <br />;
    case "escape":
      return token.text;
    case "link":
      return <Link href={unescaped(token.href)}>{inside(token.tokens)}</Link>;
    case "image":
      return <Picture href={unescaped(token.href)} alt={unescaped(token.text)} />;
    case "html":
      return token.block ? <p className="markup">{token.raw.trimEnd()}</p> : token.raw;
    case "checkbox":
      return <input type="checkbox" checked={token.checked} aria-label={token.checked ? "Done" : "To do"} readOnly disabled />;
    case "space":
    case "def":
      return null;
    default:
      return token.raw;
  }
}

// A page has one h1 already, and its own h2.
function Heading({ level, children }: { level: number; children: ReactNode }) {
  const Tag = (["h3", "h4", "h5", "h6"] as const)[Math.min(level, 4) - 1]!;
  return <Tag data-level={level}>{children}</Tag>;
}

function List({ token, depth }: { token: Tokens.List; depth: number }) {
  const items = token.items.map((item, place) => (
    <li key={place} data-task={item.task || undefined}>
      <Content tokens={item.tokens as MarkedToken[]} depth={depth} />
    </li>
  ));
  return token.ordered ? <ol start={Number(token.start) || undefined}>{items}</ol> : <ul>{items}</ul>;
}

function Table({ token, depth, hasHead }: { token: Tokens.Table; depth: number; hasHead: boolean }) {
  const cell = (Tag: "th" | "td", { tokens, align }: Tokens.TableCell, place: number): ReactNode => (
    <Tag key={place} data-align={align ?? undefined} scope={Tag === "th" ? "col" : undefined}>
      <Content tokens={tokens as MarkedToken[]} depth={depth} />
    </Tag>
  );
  return (
    <div className="wide" tabIndex={0} role="group" aria-label="Table">
      <table>
        <thead className={hasHead ? undefined : "visually-hidden"}>
          <tr>{token.header.map((one, place) => cell("th", one, place))}</tr>
        </thead>
        <tbody>
          {token.rows.map((row, line) => (
            <tr key={line}>{row.map((one, place) => cell("td", one, place))}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const ENTITIES: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

/** Text as it is meant: marked leaves entities to the browser, and there is no browser that reads ours. */
function unescaped(text: string): string {
  return text.includes("&")
    ? text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(\w{2,6}));/gi, (whole, decimal?: string, hex?: string, name?: string) => {
        if (name !== undefined) return ENTITIES[name.toLowerCase()] ?? whole;
        const code = decimal === undefined ? Number.parseInt(hex!, 16) : Number(decimal);
        return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : "\ufffd";
      })
    : text;
}
