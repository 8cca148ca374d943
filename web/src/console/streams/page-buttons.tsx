import { setQuery } from "../route.ts";
import { addressOf, type HistoryPage, type Place } from "./pages.ts";

/** To the other pages of a history, both ways. */
export function PageButtons({ page }: { page: HistoryPage<unknown> | undefined }) {
  const go = (to: Place | undefined): void => {
    if (to) setQuery({ ...addressOf(to), event: undefined });
  };
  return (
    <span className="pages" role="group" aria-label="Pages of the history">
      <button type="button" onClick={() => go({ at: "oldest" })} disabled={!page?.older}>
        Oldest
      </button>
      <button type="button" onClick={() => go(page?.older)} disabled={!page?.older}>
        Older
      </button>
      <button type="button" onClick={() => go(page?.newer)} disabled={!page?.newer}>
        Newer
      </button>
      <button type="button" onClick={() => go({ at: "newest" })} disabled={!page?.newer}>
        Newest
      </button>
    </span>
  );
}
