import { client } from "../../app/server.ts";
import { Events } from "../parts/events.tsx";
import { Inspector } from "../parts/inspector.tsx";
import { usePoll } from "../poll.ts";
import { type Route, setQuery } from "../route.ts";
import { addressOf, type Place, pageOf, placeOf, queryOf } from "./pages.ts";

/** The past of a stream, page by page, both ways. */
export function History({ name, query }: { name: string; query: Route["query"] }) {
  const place = placeOf(query);
  const { data, error } = usePoll(
    `${name} ${JSON.stringify(place)}`,
    async () => pageOf(place, await client.channel(name).history(queryOf(place))),
    0,
  );
  const events = (data?.items ?? []).map(({ cursor, event }) => ({ ...event, cursor }));
  const go = (to: Place): void => setQuery({ ...addressOf(to), event: undefined });

  function move(by: 1 | -1): void {
    const next = events[events.findIndex(({ cursor }) => cursor === query.event) + by];
    if (next) setQuery({ event: next.cursor });
  }

  return (
    <>
      <Events
        title="History"
        events={events}
        selected={query.event}
        onSelect={(event) => setQuery({ event })}
        empty={error ? error.message : data ? "Nothing is on this page." : "Loading…"}
        actions={
          <span className="pages" role="group" aria-label="Pages of the history">
            <button type="button" onClick={() => go({ at: "oldest" })} disabled={!data?.older}>
              Oldest
            </button>
            <button type="button" onClick={() => data?.older && go(data.older)} disabled={!data?.older}>
              Older
            </button>
            <button type="button" onClick={() => data?.newer && go(data.newer)} disabled={!data?.newer}>
              Newer
            </button>
            <button type="button" onClick={() => go({ at: "newest" })} disabled={!data?.newer}>
              Newest
            </button>
          </span>
        }
      />
      {query.event && <Inspector stream={name} cursor={query.event} onMove={move} onClose={() => setQuery({ event: undefined })} />}
    </>
  );
}
