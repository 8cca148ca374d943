/** What is asked for beside the words: the model, and how the simulated one behaves. Kept on this device. */

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
