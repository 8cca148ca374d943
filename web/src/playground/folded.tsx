/** What is there and seldom read: thoughts, and what tools were asked and said. */

import { useState, type ReactNode } from "react";
import type { Answer } from "tokentape";
import { shownValue } from "./content.ts";

export function Reasoning({ text, isLive }: { text: string; isLive: boolean }) {
  return (
    <Fold title={isLive ? "Thinking…" : "Reasoning"} detail={`${text.length.toLocaleString()} characters`}>
      {() => <p className="reasoning">{text}</p>}
    </Fold>
  );
}

export function Tools({ calls, results }: { calls: Answer["tool_calls"]; results: Answer["tool_results"] }) {
  return calls.map(({ id, name, arguments: given }) => {
    const result = results.find((each) => each.id === id);
    return (
      <Fold key={id} title={<code>{name ?? "tool"}</code>} detail={result ? "answered" : "called"}>
        {() => (
          <>
            <Value label="Arguments" value={given} />
            {result && <Value label="Result" value={result.output} />}
          </>
        )}
      </Fold>
    );
  });
}

function Value({ label, value }: { label: string; value: unknown }) {
  return (
    <div className="value">
      <span className="quiet small">{label}</span>
      <pre tabIndex={0}>{shownValue(value)}</pre>
    </div>
  );
}

// What is folded is not rendered: thoughts come as fast as answers.
function Fold({ title, detail, children }: { title: ReactNode; detail: string; children: () => ReactNode }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <details className="fold" open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        {title} <span className="quiet small number">{detail}</span>
      </summary>
      {isOpen && children()}
    </details>
  );
}
