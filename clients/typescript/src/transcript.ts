/**
 * Folds events into whole messages: what was said and not taken back (PROTOCOL.md §2.6), without the steps in which it
 * came. A message is replaced by a new object when it changes, and only then, so that a finished one is never painted
 * again.
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
  /** What has been said so far, and was not taken back, in the order in which it began: the same array until it changes. */
  messages(): readonly Message[];
  /** The answer of one run. */
  answer(run: string): Answer | undefined;
}

const EMPTY = { content: "", reasoning: "", tool_calls: [], tool_results: [] };

/** The answer of a run that has said nothing yet. */
export function silent(run: string): Answer {
  return { id: null, role: "assistant", run, state: "running", ...EMPTY };
}

export function createTranscript(): Transcript {
  let messages: Message[] = [];
  let shown: readonly Message[] | undefined;
  const places = new Map<string, number>();
  // Their places are kept: whatever more comes of them is void too.
  const takenBack = new Set<number>();

  return {
    apply(event) {
      const { type, data, run, cursor } = event;
      const last = parseCursor(cursor)?.offset ?? 0;
      if (type === "ready") {
        if (data.outcome !== "snapshot" && data.outcome !== "gone") return;
        messages = [];
        places.clear();
        takenBack.clear();
      } else if (type === "message") {
        // Anybody may publish one, so its data is whatever they sent.
        if (!isObject(data)) return;
        const { id = event.id ?? null, role = "user", content = "" } = data;
        messages.push({ id, role, content, ...(run && { run }), first: last, last });
      } else if (type === "chat:rewind") {
        // As anybody may publish one, too; and one that is not kept takes nothing back.
        const from = (data as { from?: unknown } | null)?.from;
        if (!last || typeof from !== "number") return;
        messages.forEach(({ first }, place) => first! >= from && takenBack.add(place));
      } else if (run) {
        const place = places.get(run) ?? messages.length;
        places.set(run, place);
        const answer = (messages[place] ?? { ...silent(run), first: last }) as Answer;
        messages[place] = { ...answer, ...change(answer, event), last };
      } else return;
      shown = undefined;
    },
    messages: () => (shown ??= messages.filter((_, place) => !takenBack.has(place))),
    answer: (run) => messages[places.get(run)!] as Answer | undefined,
  };
}

/** What an event changes about an answer. */
function change({ tool_calls, ...answer }: Answer, { type, data }: TapeEvent): Partial<Answer> {
  switch (type) {
    case "start":
      return { id: data.message_id };
    case "token":
      return { content: answer.content + data };
    case "reasoning":
      return { reasoning: answer.reasoning + data };
    case "tool_call_delta":
    case "tool_call": {
      const place = tool_calls.findIndex(({ id }) => id === data.id);
      const held = tool_calls[place];
      const call = type === "tool_call" || !held ? data : { ...held, arguments: `${held.arguments}${data.arguments}` };
      return { tool_calls: held ? tool_calls.with(place, call) : [...tool_calls, call] };
    }
    case "tool_result":
      return { tool_results: [...answer.tool_results, data] };
    case "reset":
      return EMPTY;
    case "error":
      return { error: data };
    case "done":
      return { state: data.reason, ...(data.usage && { usage: data.usage }) };
    default:
      return {};
  }
}
