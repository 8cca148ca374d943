import { client } from "../../app/server.ts";
import { Events } from "../parts/events.tsx";
import { Failure } from "../parts/failure.tsx";
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

  return (
    <>
      <Failure error={error} data={data} />
      <Events
        title="History"
        events={events}
        selected={query.event}
        onSelect={(event) => setQuery({ event })}
        empty={data ? "Nothing is on this page." : error ? "Nothing was read." : "Loading…"}
        actions={<PageButtons page={data} failed={error !== undefined} />}
      />
      {query.event && <Inspector stream={name} cursor={query.event} events={events} />}
    </>
  );
}
