/** What a run was asked, as far as it can be known later: the words are those of the chat, the rest is kept with the run. */

import type { Message, RunInfo, RunRequest } from "tokentape";
import { client } from "./client.ts";
import { sendable } from "./request.ts";

/** The request that gives such an answer again, without a channel: nobody else's chat is written to. */
export async function askedFor(run: string, before: readonly Message[], signal: AbortSignal): Promise<RunRequest> {
  const { model, metadata } = await client.call<RunInfo>("GET", `v1/runs/${run}`, { repeat: true, signal });
  const simulated = metadata?.["simulated"];
  const messages = before.filter(({ state }) => state !== "running").map(({ role, content }) => ({ role, content }));
  return { model, messages: sendable(messages), ...(isObject(simulated) && { simulated }) };
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
