import { useEffect, useState } from "react";
import type { TokentapeError } from "tokentape";
import { token } from "../app/server.ts";
import { client } from "./client.ts";
import type { ModelInfo } from "./settings.ts";

/** Milliseconds between two tries, as long as the server does not answer. */
const PAUSE = 3_000;

export interface Models {
  readonly models: readonly ModelInfo[];
  readonly problem: TokentapeError | undefined;
}

// Of the page, not of a chat: another one that is opened need not wait for them.
let known: readonly ModelInfo[] = [];

/** The models of this server; empty until they are known. */
export function useModels(): Models {
  const [state, setState] = useState<Models>({ models: known, problem: undefined });
  useEffect(() => {
    const gone = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      try {
        const { models } = await client.call<{ models: ModelInfo[] }>("GET", "v1/models", { repeat: true, signal: gone.signal });
        known = models;
        setState({ models, problem: undefined });
      } catch (error) {
        if (gone.signal.aborted) return;
        const problem = error as TokentapeError;
        setState({ models: known, problem });
        // Somebody has given a key that was refused, and is being asked for another one.
        const isAskedFor = problem.code === "unauthorized" && (await token(false)) !== "";
        if ((problem.retryable || isAskedFor) && !gone.signal.aborted) timer = setTimeout(() => void ask(), isAskedFor ? 0 : PAUSE);
      }
    };
    void ask();
    return () => {
      gone.abort();
      clearTimeout(timer);
    };
  }, []);
  return state;
}
