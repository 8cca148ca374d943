import { setQuery } from "../route.ts";
import { addressOf, type HistoryPage, type Place } from "./pages.ts";

/** To the other pages of a history, both ways; of a page that cannot be read, to both ends. */
export function PageButtons({ page, failed }: { page: HistoryPage<unknown> | undefined; failed: boolean }) {
  const go = (to: Place | undefined): void => {
    if (to) setQuery({ ...addressOf(to), event: undefined });
  };
  return (
    <span className="pages" role="group" aria-label="Pages of the history">
      <button type="button" onClick={() => go({ at: "oldest" })} disabled={!failed && !page?.older}>
        Oldest
      </button>
      <button type="button" onClick={() => go(page?.older)} disabled={!page?.older}>
        Older
      </button>
      <button type="button" onClick={() => go(page?.newer)} disabled={!page?.newer}>
        Newer
      </button>
      <button type="button" onClick={() => go({ at: "newest" })} disabled={!failed && !page?.newer}>
        Newest
      </button>
    </span>
  );
}
