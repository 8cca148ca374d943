/** Says to a screen reader what is going on, in pieces that are worth hearing: sentences, and how it ended. */

import { useEffect, useRef, useState } from "react";
import type { Message } from "tokentape";
import { textOf } from "./content.ts";
import { createSpeech, ending } from "./speech.ts";

/** Milliseconds between two announcements. */
const PAUSE = 1_200;

export function Announcer({ messages }: { messages: readonly Message[] }) {
  const [words, setWords] = useState("");
  const latest = useRef(messages);
  useEffect(() => {
    latest.current = messages;
  });
  const isLive = messages.at(-1)?.state === "running";
  useEffect(() => {
    if (!isLive) return undefined;
    const speech = createSpeech();
    const run = latest.current.at(-1)?.run;
    const answer = (): Message | undefined => latest.current.findLast((message) => message.run === run);
    setWords("The answer begins.");
    // What was there before this page came is not read out again.
    speech.skip(textOf(answer()?.content ?? ""));
    const timer = setInterval(() => {
      const next = speech.next(textOf(answer()?.content ?? ""), false);
      if (next) setWords(next);
    }, PAUSE);
    return () => {
      clearInterval(timer);
      const message = answer();
      if (message) setWords(`${speech.next(textOf(message.content), true)} ${ending(message)}`.trim());
    };
  }, [isLive]);
  return (
    <p className="visually-hidden" role="status" aria-live="polite" data-part="announcer">
      {words}
    </p>
  );
}
