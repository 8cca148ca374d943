/** How fast an answer came, in small type: model, tokens, tokens per second, time to the first token. */

import { memo, useEffect } from "react";
import { client, notes } from "./client.ts";
import { figuresOf } from "./pace.ts";
import { useNote } from "./use-note.ts";

interface FiguresProps {
  chat: string;
  run: string;
  isLive: boolean;
  /** Tokens as the provider counted them. */
  counted: number | undefined;
}

export const Figures = memo(function Figures({ chat, run, isLive, counted }: FiguresProps) {
  const note = useNote(run);
  const isMissing = !isLive && note !== undefined && note.first === undefined && note.tokens > 0 && note.after !== undefined;
  useEffect(() => {
    if (isMissing) void findFirst(chat, run, note.after!);
    // Once for each answer that is looked at.
  }, [isMissing, chat, run]);
  return <span className="figures number">{figuresOf(note, counted).join(" · ")}</span>;
});

/** The first events of a run, as they were recorded: a watcher who comes late gets them merged, with the last one's time. */
async function findFirst(chat: string, run: string, after: string): Promise<void> {
  try {
    const { items } = await client.channel(chat).history({ after, order: "oldest", limit: 8 });
    const said = items.find(({ event }) => event.run === run && (event.type === "token" || event.type === "reasoning"));
    if (said?.event.at !== undefined) notes.learn(run, { first: said.event.at });
  } catch {
    // Then there is one figure less.
  }
}
