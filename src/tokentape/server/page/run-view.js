// One run on the page: its watchers with their panes, the buttons that concern all of it, and the comparison.

import { readTape, stopRun } from "./api.js";
import { Comparison, answerOfTape } from "./compare.js";
import { oncePerFrame } from "./frames.js";
import { Pane } from "./pane.js";
import { keepTrying } from "./retry.js";
import { watchSse } from "./watch-sse.js";
import { watchWebSocket } from "./watch-ws.js";
import { Watcher } from "./watcher.js";

export class RunView {
  #id;
  #parts;
  #template;
  #announce;
  #onChange;
  #entries = [];
  #tape = null;
  #comparison;
  #stopping = false;
  #closing = new AbortController();
  #schedule = oncePerFrame(() => this.#paint());

  // `announce(text, kind?)` shows and says something; `onChange()` tells that `live` may have changed.
  constructor({ id, prompt, element, template, announce, onChange }) {
    this.#id = id;
    this.#template = template;
    this.#announce = announce;
    this.#onChange = onChange;
    this.#parts = Object.fromEntries(
      Array.from(element.querySelectorAll("[data-run]"), (node) => [node.dataset.run, node]),
    );
    this.#parts.prompt.textContent = prompt;
    this.#parts.id.textContent = id;
    this.#parts.panes.replaceChildren();
    this.#parts.comparison.querySelector("tbody").replaceChildren();
    this.#comparison = new Comparison(this.#parts.comparison);
    this.#addCuttable({ kind: "sse", title: "Server-Sent Events", label: "EventSource", watch: watchSse });
    this.#addCuttable({ kind: "ws", title: "WebSocket", label: "tokentape.v1", watch: watchWebSocket });
    element.hidden = false;
    this.#paint();
  }

  get live() {
    return !this.#done && this.#entries.some(({ watcher }) => watcher.state !== "failed");
  }

  get #done() {
    return this.#watchers.find(({ answer }) => answer.ended)?.answer ?? null;
  }

  get #watchers() {
    return this.#entries.map(({ watcher }) => watcher);
  }

  // Joins now: whoever comes late gets everything so far in its shortest form, then the rest live.
  join() {
    if (this.#entries.some(({ kind }) => kind === "late")) return;
    const onAction = () => this.#leave();
    const pane = { kind: "late", title: "Late join", label: "WebSocket", action: "Leave", onAction };
    this.#add(pane, { watch: watchWebSocket, from: "snapshot" });
  }

  async stop() {
    if (!this.live || this.#stopping) return;
    this.#stopping = true;
    this.#schedule();
    try {
      await keepTrying(() => stopRun(this.#id), {
        signal: this.#closing.signal,
        onWait: (error) => this.#announce(`${error.message} The stop is sent as soon as it is back.`, "warn"),
      });
    } catch (error) {
      if (!this.#closing.signal.aborted) this.#announce(error.message, "bad");
    } finally {
      this.#stopping = false;
      this.#schedule();
    }
  }

  // Leaves the run to itself: that nobody watches does not stop it.
  close() {
    this.#closing.abort();
    for (const watcher of this.#watchers) watcher.close();
  }

  #addCuttable({ kind, title, label, watch }) {
    const { cutSeconds } = this.#parts.panes.dataset;
    const pane = { kind, title, label, action: `Cut for ${cutSeconds} s` };
    const entry = this.#add(
      { ...pane, onAction: () => entry.watcher.cut(Number(cutSeconds) * 1000) },
      { watch, from: "start" },
    );
  }

  #add(paneOptions, { watch, from }) {
    const pane = new Pane({ template: this.#template, ...paneOptions });
    const { kind, title } = paneOptions;
    const watcher = new Watcher({
      watch,
      run: this.#id,
      from,
      onChange: this.#schedule,
      onNotice: (text) => this.#announce(`${title}: ${text}`),
    });
    const entry = { kind, title, pane, watcher };
    this.#entries.push(entry);
    this.#parts.panes.append(pane.element);
    this.#schedule();
    return entry;
  }

  #leave() {
    const entry = this.#entries.find(({ kind }) => kind === "late");
    entry.watcher.close();
    entry.pane.element.remove();
    this.#entries = this.#entries.filter((other) => other !== entry);
    this.#parts.join.disabled = false;
    this.#parts.join.focus(); // the button that had the focus is gone
    this.#schedule();
  }

  #paint() {
    if (this.#closing.signal.aborted) return;
    const head = Math.max(...this.#watchers.map(({ answer }) => answer.offset));
    for (const { kind, pane, watcher } of this.#entries) {
      pane.paint(watcher, head);
      pane.actionDisabled = kind !== "late" && !watcher.canCut;
    }
    this.#paintState();
    this.#paintComparison();
    this.#parts.join.disabled = this.#entries.some(({ kind }) => kind === "late");
    this.#parts.stop.disabled = !this.live || this.#stopping;
    this.#parts.stop.firstChild.data = this.#stopping ? "Stopping… " : "Stop ";
    this.#onChange();
  }

  #paintState() {
    const { state, model } = this.#parts;
    const done = this.#done;
    const begun = this.#watchers.some(({ answer }) => answer.state === "running") ? "running" : "queued";
    const text = done ? `done: ${done.reason}` : this.live ? begun : "unknown";
    if (state.textContent !== text) {
      state.textContent = text;
      if (done) this.#announce(...describeEnd(done));
    }
    state.dataset.state = done?.reason ?? begun;
    model.textContent = this.#watchers.find(({ answer }) => answer.model)?.answer.model ?? "";
  }

  #paintComparison() {
    const entries = this.#entries.map(({ title, kind, watcher: { answer, connections } }) => ({
      name: title,
      kind,
      answer,
      connections,
    }));
    if (this.#watchers.every(({ state }) => state === "ended") && this.#tape === null) this.#readTape();
    const settled = this.#tape !== null && this.#watchers.every(({ state }) => state === "ended");
    if (settled && this.#tape.answer) {
      entries.push({ name: "The tape, read again", kind: "tape", answer: this.#tape.answer, connections: null, isTape: true });
    }
    this.#comparison.paint(entries);
  }

  async #readTape() {
    this.#tape = {};
    const { signal } = this.#closing;
    try {
      const onWait = () => {}; // the answer is complete; only the last comparison waits
      this.#tape.answer = answerOfTape(await keepTrying(() => readTape(this.#id, signal), { signal, onWait }));
    } catch (error) {
      if (!signal.aborted) this.#announce(`The tape could not be read again: ${error.message}`, "bad");
    }
    this.#schedule();
  }
}

function describeEnd({ reason, error, usage }) {
  if (error) return [`The run failed: ${error.message}`, "bad"];
  if (!usage) return [`The run is done: ${reason}.`];
  const about = usage.estimated ? "about " : "";
  return [`The run is done: ${reason}, ${about}${usage.input_tokens} tokens in and ${usage.output_tokens} out.`];
}
