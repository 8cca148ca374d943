/** An answer: what was thought, said and done, how it ended, and what can be done about that. */

import { useCallback } from "react";
import type { Answer } from "tokentape";
import { CopyButton } from "../app/copy-button.tsx";
import { Markdown } from "../markdown/markdown.tsx";
import { Doing, Resets } from "./doing.tsx";
import { Figures } from "./figures.tsx";
import { Reasoning, Tools } from "./folded.tsx";
import type { Actions } from "./message-row.tsx";
import { RequestButton } from "./request-dialog.tsx";
import { troubleOfAnswer } from "./trouble.ts";

const ENDINGS: Readonly<Record<string, string>> = {
  stopped: "Stopped",
  interrupted: "Interrupted: the server ended in mid-answer",
  length: "Cut short: it reached its limit of tokens",
  error: "Failed",
};

interface AnswerProps {
  chat: string;
  answer: Answer;
  isLast: boolean;
  isBusy: boolean;
  actions: Actions;
}

export function AnswerBody({ chat, answer, isLast, isBusy, actions }: AnswerProps) {
  const { run, state, content, reasoning, tool_calls: calls, tool_results: results, error, usage } = answer;
  const isLive = state === "running";
  const isWhole = state === "stop" || state === "tool_calls";
  const trouble = error && troubleOfAnswer(error);
  const first = answer.first!;
  const before = useCallback(() => actions.before(first), [actions, first]);
  return (
    <article className="message answer" data-state={state} data-answer={run} aria-label="Answer">
      <Resets run={run} />
      {reasoning && <Reasoning text={reasoning} isLive={isLive && content === ""} />}
      {content && <Markdown text={content} live={isLive} />}
      {calls.length > 0 && <Tools calls={calls} results={results} />}
      {isLive && <Doing run={run} isSilent={content === "" && reasoning === ""} />}
      {trouble && (
        <p className="failure">
          <strong>{trouble.message}</strong> {trouble.advice} <code>{trouble.code}</code>
        </p>
      )}
      <footer className="tools">
        {ENDINGS[state] && (
          <span className="badge" data-state={state}>
            {ENDINGS[state]}
          </span>
        )}
        <Figures chat={chat} run={run} isLive={isLive} counted={usage?.output_tokens} />
        <span className="buttons">
          {!isLive && <CopyButton text={content} label="Copy this answer" />}
          {!isLive && isLast && (
            <button type="button" className="quiet small-button" data-action="again" disabled={isBusy} onClick={actions.again}>
              {isWhole ? "Regenerate" : "Retry"}
            </button>
          )}
          <RequestButton run={run} before={before} />
        </span>
      </footer>
    </article>
  );
}
