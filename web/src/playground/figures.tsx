/** How fast an answer came, in small type: model, tokens, tokens per second, time to the first token. */

import { memo, useEffect } from "react";
import { client, notes } from "./client.ts";
import type { Note } from "./notes.ts";
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
  return <span className="figures number">{figuresOf(note, counted, Date.now()).join(" · ")}</span>;
});

export function figuresOf(note: Note | undefined, counted: number | undefined, now: number): string[] {
  if (!note) return [];
  const { model, started, first, ended } = note;
  const tokens = counted ?? note.tokens;
  const seconds = first === undefined ? 0 : ((ended ?? Math.max(now, first)) - first) / 1000;
  return [
    model ?? "",
    tokens > 0 ? `${tokens.toLocaleString()} tokens` : "",
    tokens > 1 && seconds >= 0.05 ? `${Math.round(tokens / seconds).toLocaleString()} tokens/s` : "",
    first !== undefined && started !== undefined ? `first after ${duration(first - started)}` : "",
  ].filter(Boolean);
}

function duration(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.max(0, Math.round(milliseconds))} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}

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
