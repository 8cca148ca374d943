import { useEffect, useState } from "react";
import type { TokentapeError } from "tokentape";
import { token } from "../app/server.ts";
import { client } from "./client.ts";
import type { ModelInfo } from "./settings.ts";

const NONE: readonly ModelInfo[] = [];
/** Milliseconds between two tries, as long as the server does not answer. */
const PAUSE = 3_000;

/** The models of this server; empty until they are known. */
export function useModels(): { models: readonly ModelInfo[]; problem: TokentapeError | undefined } {
  const [state, setState] = useState<{ models: readonly ModelInfo[]; problem: TokentapeError | undefined }>({ models: NONE, problem: undefined });
  useEffect(() => {
    const gone = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (): Promise<void> => {
      try {
        const { models } = await client.call<{ models: ModelInfo[] }>("GET", "v1/models", { repeat: true, signal: gone.signal });
        setState({ models, problem: undefined });
      } catch (error) {
        if (gone.signal.aborted) return;
        const problem = error as TokentapeError;
        setState({ models: NONE, problem });
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
