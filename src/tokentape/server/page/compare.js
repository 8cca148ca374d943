// Compares what the watchers of one run received, with each other and in the end with the tape itself.

import { Answer } from "./answer.js";

// What can be said now. `tape` is null until the run has ended and the tape was read again.
// verdict: "none" | "same so far" | "equal" | "different"
export function judge(answers, tape) {
  const repeated = answers.reduce((sum, answer) => sum + answer.repeated, 0);
  const texts = answers.map((answer) => answer.text);
  const whole = tape?.text ?? texts.reduce((longest, text) => (text.length > longest.length ? text : longest), "");
  const lost = tape === null ? 0 : Math.max(...texts.map((text) => whole.length - common(text, whole)));
  // While the run goes on one watcher is ahead of another, but each must have the beginning of what the others have.
  const fits = tape === null ? (text) => whole.startsWith(text) : (text) => whole === text;
  if (!texts.every(fits) || repeated > 0) return { verdict: "different", lost, repeated, characters: whole.length };
  const verdict = tape !== null ? "equal" : whole === "" ? "none" : "same so far";
  return { verdict, lost, repeated, characters: whole.length };
}

function common(left, right) {
  if (left === right) return left.length;
  let index = 0;
  while (index < left.length && left[index] === right[index]) index += 1;
  return index;
}

// The answer as the tape holds it, from the events of `readTape`.
export function answerOfTape({ events, cursor }) {
  const answer = new Answer();
  answer.begin({ outcome: "snapshot", cursor: cursor.replace(/\d+$/, "0") });
  for (const event of events) answer.apply(event, event.cursor);
  return answer;
}

export class Comparison {
  #element;
  #body;
  #sentence;
  #rows = new Map();
  #hashes = new Map();

  constructor(element) {
    this.#element = element;
    this.#body = element.querySelector("tbody");
    this.#sentence = element.querySelector("[data-part=verdict]");
  }

  // `entries`: { name, kind, answer, connections, isTape? }, in the order in which they are shown.
  paint(entries) {
    const tape = entries.find((entry) => entry.isTape)?.answer ?? null;
    const watchers = entries.filter((entry) => !entry.isTape);
    const result = judge(
      watchers.map((entry) => entry.answer),
      tape,
    );
    this.#element.dataset.verdict = result.verdict;
    setText(this.#sentence, sentence(result, watchers.length));
    for (const [answer, row] of this.#rows) {
      if (!entries.some((entry) => entry.answer === answer)) {
        row.remove();
        this.#rows.delete(answer);
      }
    }
    for (const entry of entries) this.#paintRow(entry, tape !== null);
  }

  #paintRow({ name, kind, answer, connections }, withHash) {
    let row = this.#rows.get(answer);
    if (row === undefined) {
      row = makeRow(name, kind);
      this.#rows.set(answer, row);
      this.#body.append(row);
    }
    const values = {
      characters: answer.text.length.toLocaleString("en"),
      events: answer.events.toLocaleString("en"),
      connections: connections === null ? "–" : String(connections),
      cursor: answer.cursor ?? "–",
      hash: withHash ? this.#hash(answer) : "–",
    };
    for (const cell of row.cells) if (cell.dataset.value) setText(cell, values[cell.dataset.value]);
  }

  #hash(answer) {
    const { text } = answer;
    const known = this.#hashes.get(answer);
    if (known?.text === text) return known.hash;
    const entry = { text, hash: "…" };
    this.#hashes.set(answer, entry);
    sha256(text).then((hash) => {
      entry.hash = hash.slice(0, 12);
      const cell = this.#rows.get(answer)?.querySelector("[data-value=hash]");
      if (cell) setText(cell, entry.hash);
    });
    return entry.hash;
  }
}

function sentence({ verdict, lost, repeated, characters }, watchers) {
  const count = `${characters.toLocaleString("en")} characters`;
  const tally = `${lost} lost, ${repeated} repeated`;
  switch (verdict) {
    case "equal":
      return `Equal: ${watchers} watchers and the tape hold the same ${count}, ${tally}.`;
    case "different":
      return `Different: ${tally}.`;
    case "same so far":
      return `Same so far: each copy is the beginning of the longest (${count}), ${repeated} repeated.`;
    default:
      return "Nothing to compare yet.";
  }
}

const COLUMNS = { characters: "Characters", events: "Events", connections: "Connections", cursor: "Up to", hash: "SHA-256" };

function makeRow(name, kind) {
  const row = document.createElement("tr");
  row.dataset.kind = kind;
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  row.append(head);
  for (const [value, label] of Object.entries(COLUMNS)) {
    const cell = document.createElement("td");
    cell.dataset.value = value;
    cell.dataset.label = label; // where there is no room for a table CSS shows it beside the value
    row.append(cell);
  }
  return row;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Web Crypto is there on secure origins only (https, localhost); elsewhere the texts are compared all the same.
async function sha256(text) {
  if (!globalThis.crypto.subtle) return "–";
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
