"use client";
import { type ReactNode, useState } from "react";
import { createClient } from "tokentape";
import { TokentapeProvider } from "tokentape/react";

/** The client of this page. It connects when something is watched: so never on the server. */
export function Tape({ url, children }: { url: string; children: ReactNode }) {
  const [client] = useState(() => createClient({ url }));
  return <TokentapeProvider client={client}>{children}</TokentapeProvider>;
}
