/** Lists that change by themselves can be held still, to be read. */

import { useState } from "react";

/** What is shown: the news, or what there was when it was paused. `news` says whether there is something newer. */
export function usePause<T>(data: T | undefined): { shown: T | undefined; paused: boolean; news: boolean; toggle: () => void } {
  const [held, setHeld] = useState<{ data: T }>();
  return {
    shown: held ? held.data : data,
    paused: held !== undefined,
    news: held !== undefined && held.data !== data,
    toggle: () => setHeld(held || data === undefined ? undefined : { data }),
  };
}

export function PauseButton({ paused, toggle, news }: { paused: boolean; toggle: () => void; news: boolean }) {
  return (
    <button type="button" className="pause" aria-pressed={paused} onClick={toggle} title={paused ? "Show what is new" : "Hold the list still"}>
      <span aria-hidden="true">{paused ? "▶" : "⏸"}</span> {paused ? "Resume" : "Pause"}
      {news && <span className="visually-hidden">; there is news</span>}
    </button>
  );
}
