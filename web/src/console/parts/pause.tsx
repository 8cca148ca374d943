/** Lists that change by themselves can be held still, to be read. */

import { useState } from "react";

/**
 * What is shown: the news, or what there was when it was paused. `news` says whether there is something newer. A pause
 * is over when `key` changes: what was held does not answer what is asked now.
 */
export function usePause<T>(data: T | undefined, key: string): { shown: T | undefined; paused: boolean; news: boolean; toggle: () => void } {
  const [held, setHeld] = useState<{ data: T; key: string }>();
  if (held && held.key !== key) setHeld(undefined);
  return {
    shown: held ? held.data : data,
    paused: held !== undefined,
    news: held !== undefined && held.data !== data,
    toggle: () => setHeld(held || data === undefined ? undefined : { data, key }),
  };
}

/** What a press does: pause, or play. Drawn, since not every system has letters for them. */
export function PlaySign({ playing }: { playing: boolean }) {
  return (
    <svg className="sign" viewBox="0 0 12 12" width="11" height="11" aria-hidden="true">
      <path fill="currentcolor" d={playing ? "M2 1h3v10H2zM7 1h3v10H7z" : "M2.5 0.8 11 6l-8.5 5.2z"} />
    </svg>
  );
}

export function PauseButton({ paused, toggle, news }: { paused: boolean; toggle: () => void; news: boolean }) {
  return (
    <button type="button" className="pause" aria-pressed={paused} onClick={toggle} title={paused ? "Show what is new" : "Hold the list still"}>
      <PlaySign playing={!paused} /> {paused ? "Resume" : "Pause"}
      {news && <span className="visually-hidden">; there is news</span>}
    </button>
  );
}
