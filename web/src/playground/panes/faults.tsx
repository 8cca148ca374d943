import { useLayoutEffect, useRef } from "react";
import { isOver, type View, type Watcher } from "./watcher.ts";
import "./faults.css";

const CUTS = [1, 5, 30] as const;
const RATES = [
  { rate: 0, label: "Full speed" },
  { rate: 32_000, label: "32 kB/s" },
  { rate: 8_000, label: "8 kB/s" },
  { rate: 2_000, label: "2 kB/s" },
] as const;

/** What can be done to the network of one watcher. */
export function Faults({ watcher, view }: { watcher: Watcher; view: View }) {
  const { name } = watcher;
  const over = isOver(view);
  const isCut = view.state === "cut";
  const controls = useRef<HTMLElement>(null);
  // Whether the focus is on what the next cut, or its end, puts something else in place of.
  const isHeld = useRef(false);
  useLayoutEffect(() => {
    if (isHeld.current && document.activeElement === document.body) controls.current?.querySelector("button")?.focus();
  }, [isCut]);
  return (
    <footer
      ref={controls}
      className="pane-faults"
      aria-label={`Network of ${name}`}
      role="group"
      onFocus={() => (isHeld.current = true)}
      onBlur={() => (isHeld.current = false)}
    >
      {isCut ? (
        <button type="button" className="pane-join" onClick={watcher.restore}>
          Join again
        </button>
      ) : (
        <span className="segments" role="group" aria-label="Cut for">
          <span aria-hidden="true">Cut</span>
          {CUTS.map((seconds) => (
            <button key={seconds} type="button" disabled={over} aria-label={`Cut ${name} for ${seconds} s`} onClick={() => watcher.cut(seconds)}>
              {seconds} s
            </button>
          ))}
          <button type="button" disabled={over} aria-label={`Cut ${name} until joined again`} title="Until joined again" onClick={() => watcher.cut()}>
            ∞
          </button>
        </span>
      )}
      <select
        aria-label={`Link of ${name}`}
        value={view.rate}
        disabled={over}
        title="A slow link holds 8 kB, then hangs up: the client resumes, and the server merges what it has not sent"
        onChange={(event) => watcher.slow(Number(event.target.value))}
      >
        {RATES.map(({ rate, label }) => (
          <option key={rate} value={rate}>
            {label}
          </option>
        ))}
      </select>
      <button
        type="button"
        className="quiet"
        disabled={over}
        aria-label={`Lose 1 event of ${name}`}
        title="Throws one message away, behind the client's back: the comparison must notice"
        onClick={watcher.lose}
      >
        Lose 1
      </button>
    </footer>
  );
}
