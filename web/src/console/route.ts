/** Addresses within the console: `#/runs/r_8c1?event=k3f9-7`. */

import { useSyncExternalStore } from "react";

export interface Route {
  readonly screen: "overview" | "runs" | "run" | "streams" | "stream" | "unknown";
  /** The run's id, or the stream's name; else empty. */
  readonly name: string;
  readonly query: Readonly<Record<string, string>>;
}

const LISTS = { runs: "run", streams: "stream" } as const;

export function parseRoute(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const query = Object.fromEntries(new URLSearchParams(search));
  const [list = "", ...rest] = path.split("/");
  const name = decode(rest.join("/"));
  if (list === "") return { screen: "overview", name: "", query };
  // `..` is no name, but a way to another route of the server.
  if (!Object.hasOwn(LISTS, list) || /(^|\/)\.\.?(\/|$)/.test(name)) return { screen: "unknown", name: path, query };
  return { screen: name ? LISTS[list as keyof typeof LISTS] : (list as keyof typeof LISTS), name, query };
}

/** The address of a screen; what is undefined or empty in the query is left out. */
export function routeTo(path: "" | "runs" | "streams" | `${keyof typeof LISTS}/${string}`, query: Record<string, string | undefined> = {}): string {
  const [list, ...rest] = path.split("/");
  const name = rest.map(encodeURIComponent).join("/");
  const search = new URLSearchParams(Object.entries(query).filter((entry): entry is [string, string] => !!entry[1]));
  return `#/${list}${name && `/${name}`}${search.size ? `?${search}` : ""}`;
}

// What somebody typed may be no encoding at all.
function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

let current = { hash: "", route: parseRoute("") };

function get(): Route {
  const { hash } = location;
  // `#content` and the like are places on a page, no pages.
  if (hash !== current.hash && (hash === "" || hash.startsWith("#/"))) current = { hash, route: parseRoute(hash) };
  return current.route;
}

function subscribe(listener: () => void): () => void {
  addEventListener("hashchange", listener);
  addEventListener("popstate", listener);
  return () => {
    removeEventListener("hashchange", listener);
    removeEventListener("popstate", listener);
  };
}

export const useRoute = (): Route => useSyncExternalStore(subscribe, get);

/** Changes the query of the screen that is shown, without a step in the history: a filter that is being typed. */
export function setQuery(change: Record<string, string | undefined>): void {
  const { query } = get();
  const path = location.hash.split("?")[0] || "#/";
  const search = new URLSearchParams(Object.entries({ ...query, ...change }).filter((entry): entry is [string, string] => !!entry[1]));
  history.replaceState(history.state, "", `${location.pathname}${location.search}${path}${search.size ? `?${search}` : ""}`);
  dispatchEvent(new PopStateEvent("popstate"));
}
