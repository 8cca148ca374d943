// One watcher's copy of an answer: a fold of the events that it received, and a tally of how they came.
// It knows nothing of connections or of the page.

export class Answer {
  // Whenever what was there becomes void this grows, so that whoever paints knows to begin anew.
  generation = 0;

  constructor() {
    this.#startOver();
  }

  #startOver() {
    this.cursor = null;
    this.events = 0; // as they came, merged or not
    this.repeated = 0;
    this.state = "queued";
    this.usage = null;
    this.model = "";
    this.#clear();
  }

  #clear() {
    this.generation += 1;
    // The text in pieces: { text, resumedFrom }. One with `resumedFrom` is what a reconnection made up for.
    this.pieces = [{ text: "", resumedFrom: null }];
    this.reasoning = "";
    this.calls = new Map();
    this.status = "";
    this.error = null;
  }

  get text() {
    return this.pieces.map((piece) => piece.text).join("");
  }

  get offset() {
    return offsetOf(this.cursor);
  }

  get ended() {
    return this.state === "done";
  }

  // Takes the `ready` of a (re)connection. True when what follows replaces what was there.
  begin({ outcome, cursor }) {
    const replaced = outcome === "snapshot" || outcome === "gone";
    const resumed = !replaced && this.events > 0;
    if (replaced) this.#startOver();
    if (resumed && outcome === "replayed") this.#last.next = cursor;
    this.cursor = cursor;
    return replaced;
  }

  // Takes one event. A cursor that does not go forward is a repetition, and is counted instead of shown:
  // within one epoch offsets only grow, and `begin` is the only way into another epoch.
  apply(event, cursor) {
    if (cursor !== null) {
      if (epochOf(cursor) !== epochOf(this.cursor) || offsetOf(cursor) <= this.offset) {
        this.repeated += 1;
        return;
      }
      this.cursor = cursor;
    }
    this.events += 1;
    this.#fold(event.type, event.data);
  }

  #fold(type, data) {
    switch (type) {
      case "start":
        this.state = "running";
        this.model = data.model ?? "";
        break;
      case "token":
        this.#append(data);
        break;
      case "reasoning":
        this.reasoning += data;
        break;
      case "tool_call_delta": {
        const call = this.calls.get(data.id) ?? { name: data.name ?? "", arguments: "" };
        call.arguments += data.arguments ?? "";
        this.calls.set(data.id, call);
        break;
      }
      case "tool_call":
        this.calls.set(data.id, { name: data.name, arguments: asText(data.arguments) });
        break;
      case "tool_result":
        this.calls.set(data.id, { ...this.calls.get(data.id), output: asText(data.output) });
        break;
      case "status":
        this.status = data.state ?? data.message ?? asText(data);
        break;
      case "reset":
        this.#clear(); // the model begins again: what it said so far is void
        break;
      case "error":
        this.error = data;
        break;
      case "done":
        this.state = "done";
        this.reason = data.reason;
        this.usage = data.usage ?? null;
        break;
      // Types of later versions, and an application's own, carry nothing that this page shows.
    }
  }

  get #last() {
    return this.pieces[this.pieces.length - 1];
  }

  #append(text) {
    const { next } = this.#last;
    if (next) {
      // A backlog comes merged, as one event: this text is what was missed; later text is live again.
      this.pieces.push({ text, resumedFrom: next }, { text: "", resumedFrom: null });
      return;
    }
    this.#last.text += text;
  }
}

export function offsetOf(cursor) {
  return cursor === null ? 0 : Number(cursor.slice(cursor.lastIndexOf("-") + 1));
}

function epochOf(cursor) {
  return cursor === null ? null : cursor.slice(0, cursor.lastIndexOf("-"));
}

function asText(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}
