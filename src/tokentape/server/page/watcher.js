// One watcher of a run: a connection of some kind, the answer that came over it, and what happened on the way.

import { Answer } from "./answer.js";

export class Watcher {
  answer = new Answer();
  // connecting → live → ended; live ↔ waiting (it reconnects), live ↔ cut (by the button); or failed
  state = "connecting";
  connections = 0;
  log = [];
  cutFor = 0;
  #close = null;
  #timer = null;
  #catchUp = null; // the line of the log that will tell how much a backlog was
  #onChange;
  #onNotice;

  // `watch` is watchSse or watchWebSocket. `onChange()` is called often, and should only schedule a repaint;
  // `onNotice(text)` is for what is worth saying aloud.
  constructor({ watch, run, from, onChange, onNotice }) {
    this.#onChange = onChange;
    this.#onNotice = onNotice;
    this.watch = watch;
    this.run = run;
    this.#connect(from);
  }

  // Cuts the connection, and comes back from the cursor.
  cut(milliseconds) {
    if (!this.canCut) return;
    this.#close();
    const { cursor } = this.answer;
    this.cutFor = milliseconds;
    this.#timer = setTimeout(() => this.#connect(cursor ?? "start"), milliseconds);
    this.#note("cut", `cut at ${cursor ?? "the start"}`);
    this.#become("cut");
  }

  get canCut() {
    return ["connecting", "live", "waiting"].includes(this.state);
  }

  close() {
    clearTimeout(this.#timer);
    this.#close();
  }

  #connect(from) {
    this.#become("connecting");
    this.#close = this.watch(this.run, from, {
      opened: () => this.#opened(),
      ready: (data) => this.#ready(data),
      event: (event, cursor) => this.#event(event, cursor),
      ended: () => this.#ended(),
      lost: (why) => this.#lost(why),
      failed: (why) => this.#failed(why),
    });
  }

  #opened() {
    this.connections += 1;
    this.#become("live");
  }

  #ready(data) {
    const { events } = this.answer;
    const replaced = this.answer.begin(data);
    if (data.outcome === "gone") {
      this.#catchUp = this.#note("gone", `cursor is gone (${data.reason}): showing all that is retained`);
    } else if (data.outcome === "snapshot") {
      this.#catchUp = this.#note("joined", "joined");
    } else if (events > 0 && !replaced) {
      this.#catchUp = this.#note("resumed", `resumed from ${data.cursor}`);
    }
    this.#onChange();
  }

  #event(event, cursor) {
    const before = this.answer.offset;
    this.answer.apply(event, cursor);
    const merged = this.answer.offset - before;
    if (this.#catchUp !== null && event.type !== "start") {
      if (merged > 1) this.#catchUp.text += `, ${merged} merged`;
      this.#catchUp = null;
    }
    this.#onChange();
  }

  #ended() {
    this.#become("ended");
  }

  #lost(why) {
    // A transport may report each vain attempt; it is one loss until the next `ready`.
    if (this.state !== "waiting") this.#note("lost", `${why}, trying again`);
    this.#become("waiting");
  }

  #failed(why) {
    this.#note("failed", why);
    this.#become("failed");
  }

  #note(kind, text) {
    const line = { kind, text };
    this.log.push(line);
    this.#onNotice(text);
    return line;
  }

  #become(state) {
    this.state = state;
    this.#onChange();
  }
}
