/** What a run was asked, as far as it can be known later: the words are those of the chat, the rest is kept with the run. */

import type { Message, RunInfo, RunRequest } from "tokentape";
import { client } from "./client.ts";

/** The request that gives such an answer again, without a channel: nobody else's chat is written to. */
export async function askedFor(run: string, before: readonly Message[]): Promise<RunRequest> {
  const { model, metadata } = await client.call<RunInfo>("GET", `v1/runs/${run}`, { repeat: true });
  const simulated = metadata?.["simulated"] as Record<string, unknown> | undefined;
  const messages = before
    .filter(({ state, role, content }) => state !== "running" && (role !== "assistant" || content !== ""))
    .map(({ role, content }) => ({ role, content }));
  return { model, messages, ...(simulated && { simulated }) };
}
