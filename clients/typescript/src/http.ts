/** Requests to one server: addresses, the credential, and answers as values or typed errors. */

import { BACKOFF, delay } from "./backoff.ts";
import { errorFrom, TokentapeError, unreachable } from "./errors.ts";

/** The credential, or how to get it: asked before each connection and request; `refresh` after the last was refused. */
export type Token = string | ((refresh: boolean) => string | Promise<string>);

export interface CallOptions {
  query?: object | undefined;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
  /** Whether to try again when the answer may be better then; only for what is safe to repeat. */
  repeat?: boolean;
}

export interface Http {
  /** The address of a route, with its query; what is undefined is left out. */
  address(path: string, query?: object): string;
  /** One request, with the credential; a refused one is asked for anew, once. Throws `unreachable`. */
  send(address: string, init: RequestInit): Promise<Response>;
  /** One request and its answer as a value. Throws the error that the server's `code` names. */
  call<T>(method: string, path: string, options?: CallOptions): Promise<T>;
  token(refresh: boolean): Promise<string | undefined>;
  /** Whether another token can be had when one is refused. */
  readonly refreshable: boolean;
}

/** Requests are tried so many times in all. */
const TRIES = 5;
/** Milliseconds until an answer is there: `stop` may wait for a provider, everything else is quick. */
const ANSWER_TIMEOUT = 30_000;

export interface HttpOptions {
  url: string;
  token?: Token | undefined;
  fetch: typeof fetch;
}

export function createHttp({ url, token, fetch }: HttpOptions): Http {
  const refreshable = typeof token === "function";

  function address(path: string, query = {}): string {
    // Relative to the page, where there is one. Not before it is needed: a client may be made where there is none.
    const address = new URL(path, new URL(url.replace(/\/*$/, "/"), globalThis.location?.href));
    for (const [name, value] of Object.entries(query)) if (value !== undefined) address.searchParams.set(name, `${value}`);
    return address.href;
  }

  async function send(address: string, init: RequestInit, refresh = false): Promise<Response> {
    const key = await http.token(refresh);
    const headers = { ...init.headers, ...(key && { Authorization: `Bearer ${key}` }) };
    const response = await fetch(address, { ...init, headers }).catch((error: unknown) => {
      const { reason } = init.signal!;
      throw reason && reason.name !== "TimeoutError" ? reason : unreachable(`Cannot reach ${address}.`, error);
    });
    if (response.status !== 401 || refresh || !refreshable) return response;
    void response.body?.cancel();
    return send(address, init, true);
  }

  async function exchange<T>(address: string, init: RequestInit): Promise<T> {
    const response = await send(address, init);
    if (!response.ok) throw await errorOf(response);
    return response.json().catch((error: unknown) => {
      throw unreachable(`${address} gave no whole answer.`, error);
    }) as Promise<T>;
  }

  const http: Http = {
    address,
    send,
    refreshable,
    token: async (refresh) => (refreshable ? token(refresh) : token),
    async call<T>(method: string, path: string, { query, body, headers, signal, repeat }: CallOptions = {}): Promise<T> {
      for (let attempt = 1; ; attempt += 1) {
        const deadline = AbortSignal.timeout(ANSWER_TIMEOUT);
        try {
          return await exchange<T>(address(path, query), {
            method,
            headers: { Accept: "application/json", ...(body !== undefined && { "Content-Type": "application/json" }), ...headers },
            body: body === undefined ? null : JSON.stringify(body),
            signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
          });
        } catch (error) {
          const { retryable, retryAfter } = error as TokentapeError;
          if (!repeat || !retryable || attempt >= TRIES) throw error;
          await new Promise((resolve) => setTimeout(resolve, delay(BACKOFF, attempt - 1, Math.random(), retryAfter)));
          signal?.throwIfAborted();
        }
      }
    },
  };
  return http;
}

/** The error that an HTTP answer stands for, whoever gave it. */
export async function errorOf(response: Response): Promise<TokentapeError> {
  // A proxy's own page is no JSON.
  return errorFrom(await response.json().catch(() => {}), response.status, response.headers.get("Retry-After"));
}

/** The id of the run whose own view this stream name is; undefined for a channel. */
export function runOf(stream: string): string | undefined {
  return stream.startsWith("runs/") ? stream.slice(5) : undefined;
}

/** The route of a stream: of a run as it is, else of a channel. */
export function pathOf(stream: string, what: string): string {
  const name = stream.split("/").map(encodeURIComponent).join("/");
  return `v1/${runOf(stream) ? "" : "channels/"}${name}/${what}`;
}

/** Not `crypto.randomUUID`: that exists on secure origins only, and a page may be opened over a LAN. */
export function randomId(): string {
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
