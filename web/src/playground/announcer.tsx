/** Says to a screen reader what is going on, in pieces that are worth hearing: sentences, and how it ended. */

import { useEffect, useRef, useState } from "react";
import type { Message } from "tokentape";
import { textOf } from "./content.ts";
import { createSpeech, ending, type Speech } from "./speech.ts";

/** Milliseconds between two announcements. */
const PAUSE = 1_200;

interface Heard {
  readonly run: string | undefined;
  readonly speech: Speech;
  isOver: boolean;
}

export function Announcer({ messages, isLoading }: { messages: readonly Message[]; isLoading: boolean }) {
  const [words, setWords] = useState("");
  const heard = useRef<Heard>(undefined);
  const latest = useRef(messages);
  useEffect(() => {
    latest.current = messages;
  });
  const last = messages.at(-1);
  const isLive = last?.state === "running";
  const run = last?.state && last.run;
  useEffect(() => {
    if (isLoading) return undefined;
    const text = (): string => textOf(latest.current.findLast((message) => message.run === run)?.content ?? "");
    if (!heard.current) {
      // What was there before this page came is not read out again.
      heard.current = { run, speech: createSpeech(), isOver: !isLive };
      heard.current.speech.skip(text());
    } else if (heard.current.run !== run) heard.current = { run, speech: createSpeech(), isOver: run === undefined };
    const now = heard.current;
    if (now.isOver) return undefined;
    if (!isLive) {
      now.isOver = true;
      setWords(`${now.speech.next(text(), true)} ${ending(latest.current.findLast((message) => message.run === run)!)}`.trim());
      return undefined;
    }
    setWords("The answer begins.");
    const timer = setInterval(() => {
      const next = now.speech.next(text(), false);
      if (next) setWords(next);
    }, PAUSE);
    return () => clearInterval(timer);
  }, [run, isLive, isLoading]);
  return (
    <p className="visually-hidden" role="status" aria-live="polite" data-part="announcer">
      {words}
    </p>
  );
}
