import { parseCursor, type Message } from "tokentape";
import { client } from "../../app/server.ts";
import { Failure } from "../parts/failure.tsx";
import { usePoll } from "../poll.ts";
import { type Route, routeTo } from "../route.ts";
import { PageButtons } from "./page-buttons.tsx";
import { type HistoryPage, pageOf, placeOf, queryOf } from "./pages.ts";

/** Characters of a message that are shown; all of it is in its events. */
const SHOWN = 5000;

type Placed = Message & { cursor: string };

/** The past of a channel as whole messages. */
export function Messages({ name, query }: { name: string; query: Route["query"] }) {
  const place = placeOf(query);
  const { data, error } = usePoll(`${name} ${JSON.stringify(place)}`, read, 0);

  async function read(): Promise<HistoryPage<Placed>> {
    const { items, cursor, next } = await client.channel(name).messages(queryOf(place));
    const epoch = parseCursor(cursor)?.epoch;
    // A message is on the page of its first event.
    return pageOf(place, { next, items: items.map((message) => ({ ...message, cursor: `${epoch}-${message.first}` })) });
  }

  return (
    <>
      <Failure error={error} data={data} />
      <section className="panel card" aria-labelledby="messages-title">
        <header>
          <h2 id="messages-title">Messages</h2>
          <span className="quiet small number">{data?.items.length ?? ""}</span>
          <span className="grow" />
          <PageButtons page={data} failed={error !== undefined} />
        </header>
        <ol className="messages scrolling" tabIndex={0} aria-label="Messages">
          {data?.items.map((message) => <One key={message.cursor} message={message} />)}
          {!data?.items.length && <li className="quiet nothing">{data ? "No message is on this page." : error ? "Nothing was read." : "Loading…"}</li>}
        </ol>
      </section>
    </>
  );
}

function One({ message }: { message: Placed }) {
  const { role, content, state, run } = message;
  const text = typeof content === "string" ? content : (JSON.stringify(content) ?? "");
  return (
    <li data-cursor={message.cursor}>
      <p className="about small">
        <b>{role}</b>
        {state && (
          <span className="badge" data-state={state}>
            {state}
          </span>
        )}
        {run && <a href={routeTo(`runs/${run}`)}>{run}</a>}
        <span className="quiet number">{message.cursor}</span>
      </p>
      <p className="content">{text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text}</p>
    </li>
  );
}
