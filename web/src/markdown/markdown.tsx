/** Markdown on the screen, also while it is being written: what is finished is not rendered again. */

import { memo, useEffect, useReducer, useState } from "react";
import { type Block, createBlocks } from "./blocks.ts";
import { CodeBlock } from "./code-block.tsx";
import { Content } from "./tokens.tsx";
import "./markdown.css";

/** Blocks that are compared as one: an answer of a thousand blocks is looked at in some sixty places. */
const GROUP = 16;

/** `live` while more may come. */
export const Markdown = memo(function Markdown({ text, live = false }: { text: string; live?: boolean }) {
  const [reader] = useState(() => createBlocks());
  const [, again] = useReducer((count: number) => count + 1, 0);
  const { blocks, pending } = reader.update(text, !live);
  useEffect(() => {
    if (!pending) return undefined;
    const frame = requestAnimationFrame(again);
    return () => cancelAnimationFrame(frame);
  });
  const groups = Array.from({ length: Math.ceil(blocks.length / GROUP) }, (_, place) => (
    <Group key={place} blocks={blocks.slice(place * GROUP, (place + 1) * GROUP)} />
  ));
  return (
    <div className="markdown" aria-busy={live || undefined}>
      {groups}
    </div>
  );
});

const Group = memo(
  function Group({ blocks }: { blocks: readonly Block[] }) {
    return blocks.map((block, place) => <One key={place} block={block} />);
  },
  (before, after) => before.blocks.length === after.blocks.length && before.blocks.every((block, place) => block === after.blocks[place]),
);

const One = memo(function One({ block }: { block: Block }) {
  if (block.kind === "code") return <CodeBlock text={block.text} language={block.language} open={block.open} />;
  if (block.kind === "plain") return <p className="plain">{block.text}</p>;
  return <Content tokens={[block.token]} goesOn={block.goesOn} />;
});
