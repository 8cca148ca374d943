/** What the run had said at the playhead: reasoning, text, tools. */

import { memo, useEffect, useRef } from "react";
import { count } from "../format.ts";
import { blocksOf } from "./blocks.ts";
import type { Recording } from "./recording.ts";
import type { Tool } from "./tape.ts";
import { useCount, usePlayhead, useRecorded } from "./use-recording.ts";

/** Characters that are put on the screen; of a longer text, the last ones, from a place that seldom moves. */
const SHOWN = 200_000;
const STEP = 50_000;
/** Pixels from the bottom within which the end is followed. */
const NEAR = 60;

export function Text({ recording }: { recording: Recording }) {
  const { tape } = useRecorded(recording);
  const { playing, place } = usePlayhead(recording);
  const shown = useCount(recording);
  const box = useRef<HTMLDivElement>(null);
  const follows = useRef(true);
  const text = tape.textAfter(shown);
  const reasoning = tape.reasoningAfter(shown);
  const tools = tape.tools.filter(({ index }) => index < shown);
  const left = leftOut(text);
  const moves = playing || (place === null && tape.isLive);

  useEffect(() => {
    const node = box.current!;
    if (moves && follows.current) node.scrollTop = node.scrollHeight;
  }, [text, moves]);

  return (
    <section className="panel card" aria-labelledby="text-title">
      <header>
        <h2 id="text-title">Text</h2>
        <span className="quiet small number">{count(text.length)} characters</span>
      </header>
      <div
        ref={box}
        className="scrolling said-text"
        role="region"
        tabIndex={0}
        aria-label="Text at the playhead"
        onScroll={({ currentTarget: node }) => {
          follows.current = node.scrollHeight - node.scrollTop - node.clientHeight < NEAR;
        }}
      >
        {reasoning && (
          <details open={!text}>
            <summary className="quiet small">Reasoning, {count(reasoning.length)} characters</summary>
            <div className="quiet" data-part="reasoning">
              {blocksOf(reasoning.slice(leftOut(reasoning))).map((block, number) => (
                <Block key={number} text={block} />
              ))}
            </div>
          </details>
        )}
        {left > 0 && <p className="quiet small">Without the first {count(left)} characters:</p>}
        <div data-part="text">
          {blocksOf(text.slice(left)).map((block, number) => (
            <Block key={number} text={block} />
          ))}
        </div>
        {tools.length > 0 && <Tools tools={tools} />}
        {!text && !reasoning && tools.length === 0 && <p className="quiet">Nothing yet.</p>}
      </div>
    </section>
  );
}

const leftOut = ({ length }: string): number => (length > SHOWN ? Math.floor((length - SHOWN) / STEP) * STEP : 0);

const Block = memo(({ text }: { text: string }) => <p>{text}</p>);

function Tools({ tools }: { tools: readonly Tool[] }) {
  return (
    <ul className="tools" aria-label="Tools">
      {tools.slice(-200).map((tool) => (
        <li key={tool.index}>
          <code>
            {tool.kind === "call" ? <b>{tool.name}</b> : "→ "}
            {tool.kind === "call" ? `(${tool.text})` : tool.text}
          </code>
        </li>
      ))}
    </ul>
  );
}
