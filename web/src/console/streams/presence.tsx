import { usePresence } from "tokentape/react";
import { count } from "../format.ts";

/** Rows that are shown; a room of thousands is counted. */
const SHOWN = 500;

/** Who is on a channel, as they come and go. */
export function Presence({ name }: { name: string }) {
  const members = usePresence(name);
  return (
    <section className="panel card" aria-labelledby="presence-title">
      <header>
        <h2 id="presence-title">Presence</h2>
        <span className="quiet small number" role="status">
          {count(members.length)} here
        </span>
      </header>
      {members.length === 0 ? (
        <p className="quiet nothing">Nobody is here.</p>
      ) : (
        <ul className="present scrolling" tabIndex={0} aria-label="Members">
          {members.slice(0, SHOWN).map(({ id, data }) => (
            <li key={id}>
              <code title={id}>{id}</code>
              <span className="quiet data">{data == null ? "" : JSON.stringify(data).slice(0, 400)}</span>
            </li>
          ))}
          {members.length > SHOWN && <li className="quiet">and {count(members.length - SHOWN)} more</li>}
        </ul>
      )}
    </section>
  );
}
