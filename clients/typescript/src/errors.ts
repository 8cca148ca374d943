/** Errors with the server's stable codes. */

/** The codes that a server gives (`core/errors.py`), those that only HTTP knows, and those that only a client has. */
export type ErrorCode =
  | "bad_request" | "invalid_cursor" | "invalid_event" | "invalid_name" | "protocol_error" | "too_large"
  | "unauthorized" | "forbidden" | "stale_producer"
  | "not_found" | "stream_not_found" | "run_not_found" | "model_not_found"
  | "conflict" | "stream_exists" | "stream_closed" | "sequence_conflict" | "fenced" | "run_conflict"
  | "gone" | "too_many" | "store_unavailable" | "store_full" | "shutting_down" | "internal_error"
  | `provider_${string}` | "method_not_allowed" | "request_timeout" | "unsupported_media_type" | "http_error"
  | "admin_off" | "crowd_busy"
  /** The server could not be reached, or the connection broke before its answer was whole. */
  | "unreachable"
  /** This connection cannot do it: presence needs a WebSocket. */
  | "unsupported"
  /** The application let go of what it waited for. */
  | "closed";

interface ErrorOptions {
  status?: number;
  retryable?: boolean;
  retryAfter?: number;
  details?: Record<string, unknown>;
  cause?: unknown;
}

/** What was refused or failed. `code` is stable, `message` is for people, `details` are what the code adds. */
export class TokentapeError extends Error {
  override readonly name = "TokentapeError";
  readonly code: ErrorCode;
  /** The HTTP status, 0 when there was none. */
  readonly status: number = 0;
  /** Whether the same request can succeed later. */
  readonly retryable: boolean = false;
  /** Milliseconds that the server asks to wait before that; 0 when it asks for nothing. */
  readonly retryAfter: number = 0;
  /** The whole document that came with it. */
  readonly details: Readonly<Record<string, unknown>> = {};

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message);
    this.code = code;
    Object.assign(this, options);
  }
}

export function unreachable(message: string, cause?: unknown): TokentapeError {
  return new TokentapeError("unreachable", message, { retryable: true, cause });
}

/**
 * The error that a problem document (RFC 9457), or the `error` of a WebSocket answer, stands for.
 * `seconds` is what the answer's Retry-After says.
 */
export function errorFrom(document: unknown, status = 0, seconds?: unknown): TokentapeError {
  const details = isObject(document) ? document : {};
  // Without a code it is the answer of a proxy, or of something that is no tokentape server.
  const code = (details.code ?? (status === 401 ? "unauthorized" : /^(0|408|429|50[234])$/.test(`${status}`) ? "unreachable" : "http_error")) as ErrorCode;
  return new TokentapeError(code, `${details.detail ?? details.message ?? `The server answered ${status}.`}`, {
    status,
    retryable: (details.retryable as boolean | undefined) ?? /^(too_many|store_|shutting_|unreach)/.test(code),
    retryAfter: Number(seconds ?? details.retry_after ?? 0) * 1000 || 0,
    details,
  });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return Object(value) === value && !Array.isArray(value);
}
