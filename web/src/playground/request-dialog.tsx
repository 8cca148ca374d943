/** The request that gives this answer again, to be copied: as curl, Python or TypeScript. */

import { memo, useEffect, useEffectEvent, useState } from "react";
import type { Message, RunRequest, TokentapeError } from "tokentape";
import { BASE, token } from "../app/server.ts";
import { CodeBlock } from "../markdown/code-block.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { askedFor } from "./asked.ts";
import { SNIPPETS } from "./snippets.ts";
import { troubleOf } from "./trouble.ts";
import "./request-dialog.css";

interface RequestProps {
  run: string;
  /** What had been said when it was asked. */
  before: () => readonly Message[];
}

export const RequestButton = memo(function RequestButton({ run, before }: RequestProps) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="quiet small-button" title="Copy this request as curl, Python or TypeScript" onClick={() => setOpen(true)}>
        Code
      </button>
      {isOpen && <RequestDialog run={run} before={before} onClose={() => setOpen(false)} />}
    </>
  );
});

function RequestDialog({ run, before, onClose }: RequestProps & { onClose: () => void }) {
  const [place, setPlace] = useState(0);
  const [asked, setAsked] = useState<{ request: RunRequest; hasKey: boolean }>();
  const [problem, setProblem] = useState<TokentapeError>();
  // Asked once: what had been said before stays, while the answer itself may grow with each frame.
  const ask = useEffectEvent(async (signal: AbortSignal): Promise<void> => {
    const request = await askedFor(run, before(), signal);
    setAsked({ request, hasKey: (await token(false)) !== "" });
  });
  useEffect(() => {
    const gone = new AbortController();
    ask(gone.signal).catch((error: TokentapeError) => gone.signal.aborted || setProblem(error));
    return () => gone.abort();
  }, [run]);
  const { name, language, write } = SNIPPETS[place]!;
  return (
    <Dialog title="This request, to run yourself" className="request" isOpen onClose={onClose}>
      <div className="tabs" role="group" aria-label="Language">
        {SNIPPETS.map((snippet, index) => (
          <button key={snippet.name} type="button" aria-pressed={index === place} onClick={() => setPlace(index)}>
            {snippet.name}
          </button>
        ))}
      </div>
      <div role="region" aria-label={name}>
        {problem && <p role="alert">{`${troubleOf(problem).message} ${troubleOf(problem).advice}`}</p>}
        {asked && <CodeBlock text={write({ base: BASE, ...asked })} language={language} open={false} />}
        {!asked && !problem && <p className="quiet">Asking the server…</p>}
      </div>
    </Dialog>
  );
}
