/** Events as a stream holds them (PROTOCOL.md §2.2). */

export interface Usage {
  input_tokens: number;
  output_tokens: number;
  estimated?: boolean;
  [detail: string]: unknown;
}

export interface ToolCall {
  id: string;
  name?: string;
  arguments: unknown;
}

export interface Failure {
  code: string;
  message: string;
  retryable: boolean;
  [detail: string]: unknown;
}

/** Why a run ended. */
export type DoneReason = "stop" | "length" | "tool_calls" | "stopped" | "error" | "interrupted";

/** How a view begins. After `snapshot` and `gone` what follows replaces everything that came before. */
export interface Ready {
  outcome: "replayed" | "live" | "snapshot" | "gone";
  /** The events that follow are exactly those after this position. */
  cursor: string;
  /** Why the position that was asked for could not be served; of `gone` alone. */
  reason?: "epoch" | "future" | "trimmed";
}

/** Somebody who is present on a channel. */
export interface Member<D = unknown> {
  id: string;
  data: D;
}

/** The standard types, and what their `data` is. */
export interface EventData {
  ready: Ready;
  start: { message_id: string; model: string; provider: string; replaces?: string };
  token: string;
  reasoning: string;
  tool_call_delta: { id: string; arguments: string; name?: string };
  tool_call: ToolCall;
  tool_result: { id: string; output: unknown };
  status: Record<string, unknown>;
  metadata: Record<string, unknown>;
  message: { id?: string; role: string; content: unknown };
  reset: { reason: string };
  usage: Usage;
  error: Failure;
  done: { reason: DoneReason; usage?: Usage; detail?: string };
  presence: Member & { action: "join" | "update" | "leave" };
}

/** One event. `cursor` is missing for what is not stored: `ready`, presence, and what was published so. */
export interface EventOf<T extends string, D> {
  readonly type: T;
  readonly data: D;
  /** The run that said it. */
  readonly run?: string;
  /** The publisher's own id. */
  readonly id?: string;
  /** When it was recorded, in milliseconds since the Unix epoch; for people, never for order. */
  readonly at?: number;
  /** The position after it. */
  readonly cursor?: string;
}

/** An event of a standard type, or of the application's own, which has a colon in its name. */
export type TapeEvent =
  | { [T in keyof EventData]: EventOf<T, EventData[T]> }[keyof EventData]
  | EventOf<`${string}:${string}`, unknown>;

/** Where a watch begins: everything, only what is new, what is there in its shortest form, or after a cursor. */
export type From = "start" | "now" | "snapshot" | (string & {});
