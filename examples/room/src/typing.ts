import { useEffect, useRef, useState } from "react";
import { useChannel } from "tokentape/react";

interface Events {
  "room:typing": string;
  message: unknown;
}

/** How long somebody who has typed counts as typing, and how often it is told. */
const SHOWN = 3000;
const TOLD = 1000;

/** Who types at the moment. It is told to those who are here, and kept nowhere (`persist: false`). */
export function useTyping(channel: string, me: string): { typing: readonly string[]; tell(): void } {
  const [until, setUntil] = useState<ReadonlyMap<string, number>>(new Map());
  const told = useRef(0);

  const { emit } = useChannel<Events>(channel, {
    "room:typing": (name) => {
      if (name !== me) setUntil((known) => new Map(known).set(name, Date.now() + SHOWN));
    },
    // Whoever has said it, it is said.
    message: () => setUntil(new Map()),
  });

  useEffect(() => {
    if (until.size === 0) return undefined;
    const next = Math.min(...until.values()) - Date.now();
    const timer = setTimeout(() => setUntil((known) => new Map([...known].filter(([, end]) => end > Date.now()))), next);
    return () => clearTimeout(timer);
  }, [until]);

  const tell = () => {
    if (Date.now() - told.current < TOLD) return;
    told.current = Date.now();
    // Nobody misses what is not told while the connection is away.
    emit("room:typing", me, { persist: false }).catch(() => {});
  };
  return { typing: [...until.keys()], tell };
}
