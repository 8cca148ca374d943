// Shows one watcher. What came from a model is only ever set as text, never as markup.

const STATES = {
  connecting: "connecting…",
  live: "live",
  cut: "cut",
  waiting: "retrying…",
  ended: "complete",
  failed: "failed",
};
const FINAL = new Set(["ended", "failed"]);
const LOG_LINES = 20; // kept; CSS shows the last one
const NEAR_END = 24; // pixels: who is this close to the end of the text wants to stay there

export class Pane {
  #parts;
  #nodes = [];
  #generation = 0;
  #logged = 0;
  #following = true;
  #scrolledTo = 0;

  // `kind` picks the colour: sse, ws or late. `onAction` is the pane's own button.
  constructor({ template, kind, title, label, action, onAction }) {
    this.element = template.content.firstElementChild.cloneNode(true);
    this.element.dataset.kind = kind;
    this.#parts = Object.fromEntries(
      Array.from(this.element.querySelectorAll("[data-part]"), (node) => [node.dataset.part, node]),
    );
    this.#parts.title.textContent = title;
    this.#parts.label.textContent = label;
    this.#parts.scroll.setAttribute("aria-label", `Answer over ${title}`);
    this.#parts.action.textContent = action;
    this.#parts.action.addEventListener("click", onAction);
    this.#parts.scroll.addEventListener("scroll", () => this.#onScroll());
  }

  // `head` is the newest offset that any watcher of the run knows of.
  paint(watcher, head) {
    const { answer, state } = watcher;
    this.element.dataset.state = state;
    this.#set("state", STATES[state]);
    this.#set("cursor", answer.cursor ?? "no cursor yet");
    this.#parts.scroll.setAttribute("aria-busy", String(!FINAL.has(state)));
    this.#paintTrack(answer.offset, head);
    this.#paintBody(answer);
    this.#paintGap(watcher, head - answer.offset);
    this.#paintLog(watcher.log);
    if (this.#following) this.#scrollToEnd();
  }

  set actionDisabled(disabled) {
    this.#parts.action.disabled = disabled;
  }

  #scrollToEnd() {
    const { scroll } = this.#parts;
    scroll.scrollTop = scroll.scrollHeight;
    this.#scrolledTo = scroll.scrollTop;
  }

  // Only going up leaves the end of the text: a new layout, with narrower columns, must not lose it.
  #onScroll() {
    const { scrollHeight, scrollTop, clientHeight } = this.#parts.scroll;
    if (scrollHeight - scrollTop - clientHeight < NEAR_END) this.#following = true;
    else if (scrollTop < this.#scrolledTo) this.#following = false;
  }

  #paintTrack(offset, head) {
    this.#parts.track.style.setProperty("--at", head > 0 ? offset / head : 0);
  }

  #paintBody(answer) {
    this.#paintText(answer);
    this.#set("reasoning", answer.reasoning);
    this.#parts.thinking.hidden = answer.reasoning === "";
    this.#set("calls", Array.from(answer.calls.values(), describeCall).join("\n"));
    this.#set("error", answer.error ? `${answer.error.code}: ${answer.error.message}` : "");
    this.#set("status", answer.ended ? "" : answer.status);
  }

  // Only what is new is added: painting costs the same at the end of a long answer as at its beginning.
  #paintText({ generation, pieces }) {
    if (generation !== this.#generation || pieces.length < this.#nodes.length) {
      this.#parts.text.replaceChildren();
      this.#nodes = [];
      this.#generation = generation;
    }
    pieces.forEach((piece, index) => {
      const node = this.#nodes[index] ?? this.#addPiece(piece);
      if (node.length < piece.text.length) node.appendData(piece.text.slice(node.length));
    });
  }

  #addPiece({ resumedFrom }) {
    const span = document.createElement("span");
    const node = document.createTextNode("");
    if (resumedFrom !== null) {
      span.className = "missed";
      span.dataset.from = `resumed from ${resumedFrom}`; // shown by CSS, so that it is no part of the text
    }
    span.append(node);
    this.#parts.text.append(span);
    this.#nodes.push(node);
    return node;
  }

  #paintGap({ state, cutFor }, behind) {
    const cut = state === "cut";
    this.#parts.gap.hidden = !cut && state !== "waiting";
    this.#parts.gap.style.setProperty("--cut", `${cutFor}ms`);
    this.#set("away", cut ? `No connection for ${cutFor / 1000} s` : "No connection, trying again…");
    this.#set("behind", behind > 0 ? `${behind} ${behind === 1 ? "event" : "events"} behind` : "");
  }

  #paintLog(log) {
    const last = log.at(-1)?.text ?? "";
    // The last line may still grow, so its text is compared too.
    if (log.length === this.#logged && this.#parts.log.lastElementChild?.textContent === last) return;
    this.#logged = log.length;
    this.#parts.log.replaceChildren(
      ...log.slice(-LOG_LINES).map(({ kind, text }) => {
        const line = document.createElement("li");
        line.dataset.kind = kind;
        line.textContent = text;
        return line;
      }),
    );
  }

  #set(part, text) {
    const node = this.#parts[part];
    if (node.textContent !== text) node.textContent = text;
  }
}

function describeCall({ name, arguments: given, output }) {
  const call = `${name ?? ""}(${given ?? ""})`;
  return output === undefined ? call : `${call} → ${output}`;
}
