export type { Backoff } from "./backoff.ts";
export type { Channel, EmitOptions, EventMap, HistoryQuery, Page } from "./channel.ts";
export { createClient, type Client, type ClientOptions, type Status } from "./client.ts";
export type { Timeouts, Transport } from "./connection.ts";
export { parseCursor, type Cursor } from "./cursor.ts";
export { TokentapeError, type ErrorCode } from "./errors.ts";
export type {
  DoneReason, EventData, EventOf, Failure, From, Member, Ready, TapeEvent, ToolCall, Usage,
} from "./events.ts";
export type { Token } from "./http.ts";
export type { Memory } from "./links.ts";
export type { Presence } from "./presence.ts";
export type { Run, RunInfo, RunRequest } from "./run.ts";
export type { Patience } from "./session.ts";
export type { Subscribable } from "./subscribable.ts";
export { createTranscript, type Answer, type Message, type Transcript } from "./transcript.ts";
export type { Watch, WatchCallbacks, WatchOptions } from "./watch.ts";
