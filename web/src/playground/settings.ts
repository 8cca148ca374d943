/** What is asked for beside the words: the model, and how the simulated one behaves. */

import type { RunRequest } from "tokentape";
import { createStored } from "./stored.ts";

export interface Settings {
  /** Empty for the server's own choice. */
  readonly model: string;
  /** What stands for `*` in a model like `groq:*`. */
  readonly variant: string;
  readonly rate: number;
  readonly tokens: number;
  readonly seed: number;
  readonly fault: string;
}

export const DEFAULTS: Settings = { model: "", variant: "", rate: 50, tokens: 300, seed: 0, fault: "" };

export const settings = createStored<Settings>("tokentape.settings", (value) => {
  const given = (value ?? {}) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, fallback]) => [name, typeof given[name] === typeof fallback ? given[name] : fallback]),
  ) as unknown as Settings;
});

export interface ModelInfo {
  readonly name: string;
  readonly provider: string;
  readonly default?: boolean;
}

/** `groq:*` stands for every model of that provider. */
export const isOpen = (name: string): boolean => name.endsWith(":*");

/** The model that these settings mean: the one that was chosen, else the server's own choice. */
export function chosen(models: readonly ModelInfo[], { model }: Settings): ModelInfo | undefined {
  return models.find(({ name }) => name === model) ?? models.find((each) => each.default) ?? models[0];
}

/** Characters of a conversation that are sent along, the newest: no model takes more, and a request is bounded. */
const MAX_SENT = 400_000;
const MAX_PROMPT = 2_000;

/** The request for the next answer. */
export function requestFor(models: readonly ModelInfo[], given: Settings, messages: RunRequest["messages"]): RunRequest {
  const model = chosen(models, given);
  const name = model && isOpen(model.name) ? model.name.slice(0, -1) + given.variant.trim() : (model?.name ?? given.model);
  const sent = newest(messages);
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

function newest(messages: RunRequest["messages"]): RunRequest["messages"] {
  let left = MAX_SENT;
  // Providers refuse an assistant who said nothing, as one does who failed at once.
  const kept = messages.filter(({ role, content }) => role !== "assistant" || (content !== "" && content !== null));
  const first = kept.findLastIndex(({ content }) => (left -= typeof content === "string" ? content.length : JSON.stringify(content ?? null).length) < 0);
  return kept.slice(Math.min(first + 1, kept.length - 1));
}
