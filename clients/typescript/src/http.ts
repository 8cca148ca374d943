/** Requests to one server: addresses, the credential, and answers as values or typed errors. */

import { BACKOFF, delay } from "./backoff.ts";
import { errorFrom, protocolError, TokentapeError, unreachable } from "./errors.ts";

/** The credential, or how to get it: asked before each connection and request; `refresh` after the last was refused. */
export type Token = string | ((refresh: boolean) => string | Promise<string>);

export interface CallOptions {
  query?: Record<string, unknown> | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Whether to try again when the answer may be better then; only for what is safe to repeat. */
  repeat?: boolean;
}

export interface Http {
  /** The address of a route, with its query; `undefined` and `null` are left out. */
  address(path: string, query?: Record<string, unknown>): string;
  /** One request, with the credential; a refused one is asked for anew, once. Throws `unreachable`. */
  send(address: string, init?: RequestInit): Promise<Response>;
  /** One request and its answer as a value. Throws the error that the server's `code` names. */
  call<T>(method: string, path: string, options?: CallOptions): Promise<T>;
  token(refresh: boolean): Promise<string | undefined>;
  /** Whether another token can be had when one is refused. */
  readonly refreshable: boolean;
}

/** Requests are tried so many times in all. */
const TRIES = 5;
/** Milliseconds until an answer begins: `stop` may wait for a provider, everything else is quick. */
const ANSWER_TIMEOUT = 30_000;

export interface HttpOptions {
  url: string;
  token?: Token | undefined;
  fetch: typeof fetch;
  random: () => number;
}

export function createHttp({ url, token, fetch, random }: HttpOptions): Http {
  // Relative to the page, where there is one.
  const base = new URL(`${url.replace(/\/+$/, "")}/`, globalThis.location?.href);

  const http: Http = {
    refreshable: typeof token === "function",
    token: async (refresh) => (typeof token === "function" ? token(refresh) : token),

    address(path, query = {}) {
      const address = new URL(path, base);
      for (const [name, value] of Object.entries(query)) {
        if (value !== undefined && value !== null) address.searchParams.set(name, String(value));
      }
      return address.href;
    },

    async send(address, init = {}) {
      for (let refresh = false; ; refresh = true) {
        const key = await http.token(refresh);
        const headers = { ...(init.headers as Record<string, string>), ...(key && { Authorization: `Bearer ${key}` }) };
        let response: Response;
        try {
          response = await fetch(address, { cache: "no-store", ...init, headers });
        } catch (error) {
          init.signal?.throwIfAborted();
          throw unreachable(`Cannot reach ${base.origin}.`, error);
        }
        if (response.status !== 401 || refresh || !http.refreshable) return response;
        await response.body?.cancel();
      }
    },

    async call<T>(method: string, path: string, { query, body, headers, signal, repeat }: CallOptions = {}): Promise<T> {
      for (let attempt = 0; ; attempt += 1) {
        try {
          const deadline = AbortSignal.timeout(ANSWER_TIMEOUT);
          const response = await http.send(http.address(path, query), {
            method,
            headers: { Accept: "application/json", ...headers, ...(body !== undefined && { "Content-Type": "application/json" }) },
            ...(body !== undefined && { body: JSON.stringify(body) }),
            signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
          }).catch((error: unknown) => {
            throw deadline.aborted && !signal?.aborted ? unreachable(`${base.origin} does not answer.`, error) : error;
          });
          return await read<T>(response);
        } catch (error) {
          if (!(repeat && error instanceof TokentapeError && error.retryable) || attempt + 1 >= TRIES) throw error;
          await pause(delay(BACKOFF, attempt, random(), error.retryAfter), signal);
        }
      }
    },
  };
  return http;
}

async function read<T>(response: Response): Promise<T> {
  const text = await response.text().catch((error: unknown) => {
    throw unreachable("The connection broke in the middle of an answer.", error);
  });
  if (!response.ok) throw errorOf(response, text);
  try {
    return JSON.parse(text) as T;
  } catch {
    throw protocolError(`${response.url} is not an address of tokentape.`);
  }
}

/** The error that an HTTP answer stands for, whoever gave it. */
export function errorOf(response: Response, text: string): TokentapeError {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    // A proxy's own error page.
  }
  return errorFrom(document, response.status, response.headers.get("Retry-After"));
}

function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      if (signal?.aborted) reject(signal.reason as Error);
      else resolve();
    }
    signal?.addEventListener("abort", done);
  });
}

/** The id of the run whose own view this stream name is; undefined for a channel. */
export function runOf(stream: string): string | undefined {
  return stream.startsWith("runs/") ? stream.slice(5) : undefined;
}

/** The route of a stream: of a run as it is, else of a channel. */
export function pathOf(stream: string, what: string): string {
  const name = stream.split("/").map(encodeURIComponent).join("/");
  return `v1/${runOf(stream) === undefined ? "channels/" : ""}${name}/${what}`;
}
