import { client } from "../../app/server.ts";
import { Events } from "../parts/events.tsx";
import { Inspector } from "../parts/inspector.tsx";
import { usePoll } from "../poll.ts";
import { type Route, setQuery } from "../route.ts";
import { PageButtons } from "./page-buttons.tsx";
import { pageOf, placeOf, queryOf } from "./pages.ts";

/** The past of a stream, page by page, both ways. */
export function History({ name, query }: { name: string; query: Route["query"] }) {
  const place = placeOf(query);
  const { data, error } = usePoll(
    `${name} ${JSON.stringify(place)}`,
    async () => pageOf(place, await client.channel(name).history(queryOf(place))),
    0,
  );
  const events = (data?.items ?? []).map(({ cursor, event }) => ({ ...event, cursor }));

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
        actions={<PageButtons page={data} />}
      />
      {query.event && <Inspector stream={name} cursor={query.event} onMove={move} onClose={() => setQuery({ event: undefined })} />}
    </>
  );
}
