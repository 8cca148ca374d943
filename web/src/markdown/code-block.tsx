/** Code: its language, a way to copy it, and colours. While it is being written the colours follow at their own pace. */

import { memo, useEffect, useRef, useState, type ReactNode } from "react";
import { CopyButton } from "../app/copy-button.tsx";
import { highlight, type Piece } from "./highlight.ts";

/** Characters up to which code is coloured: while it grows, and when it is there. */
const MAX_GROWING = 6_000;
const MAX_COLOURED = 60_000;
/** Milliseconds between two colourings of code that grows. */
const PAUSE = 250;
/** Lines that are one piece: a long listing is not laid out anew for each of its lines. */
const LINES = 40;

interface Coloured {
  readonly text: string;
  readonly language: string;
  readonly nodes: readonly ReactNode[];
}

export const CodeBlock = memo(function CodeBlock({ text, language, open }: { text: string; language: string; open: boolean }) {
  const coloured = useColours(text, language, open);
  return (
    <figure className="code">
      <figcaption>
        <span>{language || "text"}</span>
        <CopyButton text={text} label="Copy the code" />
      </figcaption>
      <pre tabIndex={0} role="group" aria-label={language ? `Code in ${language}` : "Code"}>
        <code>
          {coloured?.nodes}
          <Plain text={coloured ? text.slice(coloured.text.length) : text} />
        </code>
      </pre>
    </figure>
  );
});

/** The colours of as much as they are known of. */
function useColours(text: string, language: string, open: boolean): Coloured | undefined {
  const [coloured, setColoured] = useState<Coloured>();
  const latest = useRef({ text, open });
  useEffect(() => {
    latest.current = { text, open };
  });
  const fits = coloured?.language === language && text.startsWith(coloured.text) ? coloured : undefined;
  const wanted = language !== "" && fits?.text !== text && text.length <= (open ? MAX_GROWING : MAX_COLOURED);
  useEffect(() => {
    if (!wanted) return undefined;
    let isOver = false;
    const timer = setTimeout(
      async () => {
        const now = latest.current;
        // Of code that grows up to the last whole line: what is half written would change its colour.
        const known = now.open ? now.text.slice(0, now.text.lastIndexOf("\n") + 1) : now.text;
        const pieces = await highlight(language, known);
        if (pieces && !isOver) setColoured({ text: known, language, nodes: pieces.map(paint) });
      },
      open ? PAUSE : 0,
    );
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
    // Not for each change of the text: what is there when the time has come is coloured.
  }, [wanted, language, open, coloured]);
  return fits;
}

function paint(piece: Piece, key: number): ReactNode {
  if (typeof piece === "string") return piece;
  const [names, pieces] = piece;
  return (
    <span key={key} className={names}>
      {pieces.map(paint)}
    </span>
  );
}

function Plain({ text }: { text: string }) {
  if (text.length < 2_000) return text;
  const lines = text.split("\n");
  const pieces: string[] = [];
  for (let place = 0; place < lines.length; place += LINES) {
    pieces.push(lines.slice(place, place + LINES).join("\n") + (place + LINES < lines.length ? "\n" : ""));
  }
  return pieces.map((piece, place) => <span key={place}>{piece}</span>);
}
