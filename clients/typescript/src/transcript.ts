/**
 * Folds events into whole messages: what was said, without the steps in which it came.
 *
 * A message is replaced by a new object when it changes, and only then, so that a finished one is never painted again.
 */

import { parseCursor } from "./cursor.ts";
import { isObject } from "./errors.ts";
import type { DoneReason, Failure, TapeEvent, ToolCall, Usage } from "./events.ts";

/** A whole message, in the shape of the server's own history. Of a run's answer `state` is there. */
export interface Message {
  readonly id: string | null;
  readonly role: string;
  readonly content: unknown;
  readonly run?: string;
  readonly reasoning?: string;
  readonly tool_calls?: readonly ToolCall[];
  readonly tool_results?: readonly { id: string; output: unknown }[];
  readonly error?: Failure;
  readonly usage?: Usage;
  readonly state?: "running" | DoneReason;
  /** Offset of its first event, and of its last. */
  readonly first?: number;
  readonly last?: number;
}

/** A run's answer as it is so far. */
export interface Answer extends Message {
  readonly run: string;
  readonly content: string;
  readonly reasoning: string;
  readonly tool_calls: readonly ToolCall[];
  readonly tool_results: readonly { id: string; output: unknown }[];
  readonly state: "running" | DoneReason;
}

export interface Transcript {
  /** Takes the next event; types that carry no content are passed over. */
  apply(event: TapeEvent): void;
  /** What has been said so far, in the order in which it began: the same array until something changes. */
  messages(): readonly Message[];
  /** The answer of one run. */
  answer(run: string): Answer | undefined;
}

const EMPTY = { content: "", reasoning: "", tool_calls: [], tool_results: [] };

export function createTranscript(): Transcript {
  let messages: Message[] = [];
  let places = new Map<string, number>();
  let shown: readonly Message[] | undefined;

  function clear(): void {
    messages = [];
    places = new Map();
  }

  return {
    apply(event) {
      const offset = parseCursor(event.cursor)?.offset ?? 0;
      if (event.type === "ready") {
        if (event.data.outcome !== "snapshot" && event.data.outcome !== "gone") return;
        clear();
      } else if (event.type === "message") {
        // Anybody may publish one, so its data is whatever they sent.
        if (!isObject(event.data)) return;
        const { id, role, content } = event.data;
        messages.push({
          id: id ?? event.id ?? null,
          role: role ?? "user",
          content: content ?? "",
          ...(event.run !== undefined && { run: event.run }),
          first: offset,
          last: offset,
        });
      } else if (event.run !== undefined) {
        const { run } = event;
        let place = places.get(run);
        if (place === undefined) {
          places.set(run, (place = messages.length));
          messages.push({ id: null, role: "assistant", run, state: "running", ...EMPTY, first: offset } as Answer);
        }
        messages[place] = { ...fold(messages[place] as Answer, event), last: offset };
      } else return;
      shown = undefined;
    },
    messages: () => (shown ??= [...messages]),
    answer: (run) => messages[places.get(run) ?? -1] as Answer | undefined,
  };
}

function fold(answer: Answer, event: TapeEvent): Answer {
  switch (event.type) {
    case "start":
      return { ...answer, id: event.data.message_id ?? null };
    case "token":
      return { ...answer, content: answer.content + event.data };
    case "reasoning":
      return { ...answer, reasoning: answer.reasoning + event.data };
    case "tool_call_delta": {
      const { id, name, arguments: more = "" } = event.data;
      const held = answer.tool_calls.find((call) => call.id === id);
      return withCall(answer, held ? { ...held, arguments: `${held.arguments}${more}` } : { id, name: name!, arguments: more });
    }
    case "tool_call":
      return withCall(answer, event.data);
    case "tool_result":
      return { ...answer, tool_results: [...answer.tool_results, event.data] };
    case "reset":
      return { ...answer, ...EMPTY };
    case "error":
      return { ...answer, error: event.data };
    case "done":
      return { ...answer, state: event.data.reason, ...(event.data.usage && { usage: event.data.usage }) };
    default:
      return answer;
  }
}

function withCall(answer: Answer, call: ToolCall): Answer {
  const place = answer.tool_calls.findIndex(({ id }) => id === call.id);
  return { ...answer, tool_calls: place < 0 ? [...answer.tool_calls, call] : answer.tool_calls.with(place, call) };
}
