import { type ErrorCode, TokentapeError } from "tokentape";

/** The error that an answer stands for, where the request was not made through the client. */
export async function errorOf(response: Response): Promise<TokentapeError> {
  const details = (await response.json().catch(() => ({}))) as Record<string, unknown>;
  const code = String(details.code ?? (response.status === 401 ? "unauthorized" : "http_error"));
  return new TokentapeError(code as ErrorCode, String(details.detail ?? `The server answered ${response.status}.`), { status: response.status, details });
}
