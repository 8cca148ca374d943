/** Errors with the server's stable codes. */

/** The codes that a server gives (`core/errors.py`), those that only HTTP knows, and those that only a client has. */
export type ErrorCode =
  | "bad_request" | "invalid_cursor" | "invalid_event" | "invalid_name" | "protocol_error" | "too_large"
  | "unauthorized" | "forbidden" | "stale_producer"
  | "not_found" | "stream_not_found" | "run_not_found" | "model_not_found"
  | "conflict" | "stream_exists" | "stream_closed" | "sequence_conflict" | "fenced" | "run_conflict"
  | "gone" | "too_many" | "store_unavailable" | "store_full" | "shutting_down" | "internal_error"
  | `provider_${string}` | "method_not_allowed" | "request_timeout" | "unsupported_media_type" | "http_error"
  /** The server could not be reached, or the connection broke before its answer was whole. */
  | "unreachable"
  /** This connection cannot do it: presence needs a WebSocket. */
  | "unsupported"
  /** The application let go of what it waited for. */
  | "closed";

/** What was refused or failed. `code` is stable, `message` is for people, `details` are what the code adds. */
export class TokentapeError extends Error {
  override readonly name = "TokentapeError";
  readonly code: ErrorCode;
  /** The HTTP status, 0 when there was none. */
  readonly status: number;
  /** Whether the same request can succeed later. */
  readonly retryable: boolean;
  /** Milliseconds that the server asks to wait before that; 0 when it asks for nothing. */
  readonly retryAfter: number;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(
    code: ErrorCode,
    message: string,
    options: {
      status?: number;
      retryable?: boolean;
      retryAfter?: number;
      details?: Record<string, unknown>;
      cause?: unknown;
    } = {},
  ) {
    super(message, options);
    this.code = code;
    this.status = options.status ?? 0;
    this.retryable = options.retryable ?? false;
    this.retryAfter = options.retryAfter ?? 0;
    this.details = options.details ?? {};
  }
}

export function unreachable(message: string, cause?: unknown): TokentapeError {
  return new TokentapeError("unreachable", message, { retryable: true, cause });
}

export function protocolError(message: string): TokentapeError {
  return new TokentapeError("protocol_error", message);
}

// For answers without a code: those of a proxy, or of something that is no tokentape server.
const BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  400: "bad_request",
  401: "unauthorized",
  403: "forbidden",
  404: "not_found",
  408: "unreachable",
  409: "conflict",
  413: "too_large",
  429: "too_many",
  502: "unreachable",
  503: "store_unavailable",
  504: "unreachable",
};

const RETRYABLE = /^(too_many|store_\w+|shutting_down|unreachable)$/;

/**
 * The error that a problem document (RFC 9457), or the `error` of a WebSocket answer, stands for.
 * `seconds` is what the answer's Retry-After says.
 */
export function errorFrom(document: unknown, status = 0, seconds?: unknown): TokentapeError {
  const { code, detail, message, title, retryable, type: _, status: __, instance: ___, ...details } = isObject(document)
    ? document
    : {};
  const known = (code ? String(code) : (BY_STATUS[status] ?? "internal_error")) as ErrorCode;
  const pause = Number(seconds ?? details.retry_after);
  return new TokentapeError(known, String(detail || message || title || `The server answered ${status} without a reason.`), {
    status,
    retryable: typeof retryable === "boolean" ? retryable : RETRYABLE.test(known),
    retryAfter: pause > 0 ? pause * 1000 : 0,
    details,
  });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
