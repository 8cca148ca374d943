/** What somebody can do about a problem. Pure. */

import type { Failure, TokentapeError } from "tokentape";

export interface Trouble {
  /** What is wrong, in the server's own words. */
  readonly message: string;
  /** The way out. */
  readonly advice: string;
  readonly code: string;
}

const ADVICE: Readonly<Record<string, string>> = {
  unauthorized: "Reload the page to give another key.",
  forbidden: "The key that you gave does not allow this. Reload the page to give another one.",
  model_not_found: "Choose another model below, and send it again.",
  bad_request: "Change what is said to be wrong, and send it again.",
  too_large: "Make it shorter, or begin a new chat.",
  too_many: "Wait for other answers to end, or stop some in the console, then send it again.",
  run_conflict: "Somebody else has just asked for another answer here. Look at it, then send yours.",
  unreachable: "Look after the server or the network. Everything that was said is on the server; send it again when it is back.",
  shutting_down: "The server is being restarted. Send it again in a moment.",
  store_full: "The server's disk is full: nothing more can be recorded until there is room.",
  store_unavailable: "The server cannot reach its store. Send it again in a moment.",
  stream_closed: "This channel was closed for good. Begin a new chat.",
  invalid_name: "The address of this page names no channel. Begin a new chat.",
};

const FAILED: Readonly<Record<string, string>> = {
  provider_overloaded: "The model is too busy. Retry, or choose another one.",
  provider_rate_limited: "The model's provider allows no more for now. Retry in a moment.",
  provider_cut: "The connection to the model broke. What came is kept; retry for a whole answer.",
  provider_timeout: "The model took too long. What came is kept; retry.",
  provider_unreachable: "The server cannot reach the model's provider. Retry in a moment.",
  provider_refused: "The provider refuses this request. Ask differently, or choose another model.",
  provider_protocol: "The provider answered something that is no answer. Retry, or choose another model.",
};

/** The advice follows it on the same line. */
const sentence = (message: string): string => (/[.!?…:]$/.test(message) ? message : `${message}.`);

/** Of a request that failed. */
export function troubleOf({ code, message, retryable }: TokentapeError): Trouble {
  return { code, message: sentence(message), advice: ADVICE[code] ?? (retryable ? "Send it again in a moment." : "Change it, and send it again.") };
}

/** Of an answer that failed. */
export function troubleOfAnswer({ code, message, retryable }: Failure): Trouble {
  return { code, message: sentence(message), advice: FAILED[code] ?? (retryable ? "Retry; what came is kept until then." : "Choose another model, or ask differently.") };
}
