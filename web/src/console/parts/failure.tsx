import { TokentapeError } from "tokentape";
import { isGone } from "../health.ts";
import { routeTo } from "../route.ts";

/** Whether what was asked for is not there, or cannot be: asking again changes nothing. */
export function isMissing(error: Error | undefined): error is TokentapeError {
  return error instanceof TokentapeError && error.status >= 400 && error.status < 500 && !error.retryable;
}

/**
 * Said when something was asked for in vain: always where there is nothing older to show; else only what is about this
 * page, not that the server is gone, which is said above all pages, or asks us to wait.
 */
export function Failure({ error, data }: { error: Error | undefined; data: unknown }) {
  if (!error) return null;
  const isOfAll = error instanceof TokentapeError && (isGone(error) || error.code === "too_many");
  if (data !== undefined && isOfAll) return null;
  return (
    <p className="notice" data-hue="bad" role="alert">
      {error.message}
    </p>
  );
}

export function Missing({ what, name, error }: { what: "run" | "stream"; name: string; error: Error }) {
  return (
    <section className="empty card" role="alert">
      <h1>There is no such {what}</h1>
      <p className="mono name">{name}</p>
      <p className="quiet">{error.message}</p>
      <a className="button" href={routeTo(`${what}s`)}>
        To the {what}s
      </a>
    </section>
  );
}
