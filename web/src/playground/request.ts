/** The request for an answer: what has been said, and what the settings ask for. Pure. */

import type { RunRequest } from "tokentape";
import { chosen, isOpen, type ModelInfo, type Settings } from "./settings.ts";

/** Characters of a conversation that are sent along, the newest: no model takes more, and a request is bounded. */
const MAX_SENT = 400_000;
const MAX_PROMPT = 2_000;

/** The request for the next answer. */
export function requestFor(models: readonly ModelInfo[], given: Settings, messages: RunRequest["messages"]): RunRequest {
  const model = chosen(models, given);
  const name = model && isOpen(model.name) ? model.name.slice(0, -1) + given.variant.trim() : (model?.name ?? given.model);
  const sent = sendable(messages);
  const prompt = sent.findLast(({ role }) => role === "user")?.content;
  const simulated = model?.provider === "simulated" && { simulated: simulatedOf(given) };
  return {
    ...(name && { model: name }),
    messages: sent,
    ...simulated,
    // Kept with the run, so that lists of runs show what was asked, and the request can be made again.
    metadata: { ...(typeof prompt === "string" && { prompt: prompt.slice(0, MAX_PROMPT) }), ...simulated },
  };
}

function simulatedOf({ rate, tokens, seed, fault }: Settings): Record<string, unknown> {
  return { rate, tokens, ...(seed !== 0 && { seed }), ...(fault.trim() && { fault: fault.trim() }) };
}

/** The messages that are sent along. */
export function sendable(messages: RunRequest["messages"]): RunRequest["messages"] {
  let left = MAX_SENT;
  // Providers refuse an assistant who said nothing, as one does who failed at once.
  const kept = messages.filter(({ role, content }) => role !== "assistant" || (content !== "" && content !== null));
  const first = kept.findLastIndex(({ content }) => (left -= typeof content === "string" ? content.length : JSON.stringify(content ?? null).length) < 0);
  return kept.slice(Math.min(first + 1, kept.length - 1));
}
