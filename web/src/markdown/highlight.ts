/** The colours of code, found by a worker: one piece of code after the other, so that each has a time of its own. */

import source from "./highlight-worker.ts?worker&url";

/** Code as it was, or a part of it and the names of its colours. */
export type Piece = string | readonly [names: string, pieces: readonly Piece[]];

/** What the worker is asked. */
export interface Wanted {
  readonly language: string;
  readonly text: string;
}

interface Job extends Wanted {
  readonly done: (pieces: readonly Piece[] | undefined) => void;
}

/** Milliseconds after which code stays plain. Also of a worker that is still on its way. */
const PATIENCE = 10_000;

declare const trustedTypes:
  | { createPolicy(name: string, rules: { createScriptURL: () => string }): { createScriptURL(url: string): string } }
  | undefined;
// The page lets no text become a script; this is the one address of one, and it is ours.
const policy = typeof trustedTypes === "undefined" ? undefined : trustedTypes.createPolicy("highlighter", { createScriptURL: () => source });

const jobs: Job[] = [];
let worker: Worker | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;

/** The colours of a text; undefined where they are not known: of another language, or while the network is away. */
export function highlight(language: string, text: string): Promise<readonly Piece[] | undefined> {
  return new Promise((done) => {
    if (jobs.push({ language, text, done }) === 1) next();
  });
}

/** Has the worker ready before there is code. */
export function prepareHighlighter(): void {
  if (worker || typeof Worker === "undefined") return;
  worker = new Worker(policy?.createScriptURL(source) ?? source, { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<readonly Piece[] | undefined>) => finish(data);
  worker.onerror = giveUp;
}

function next(): void {
  if (jobs.length === 0) return;
  const { language, text } = jobs[0]!;
  timer = setTimeout(giveUp, PATIENCE);
  prepareHighlighter();
  if (worker) worker.postMessage({ language, text } satisfies Wanted);
  else giveUp();
}

function finish(pieces: readonly Piece[] | undefined): void {
  clearTimeout(timer);
  jobs.shift()?.done(pieces);
  next();
}

/** It could not be loaded, or takes for ever: whoever comes next begins with another one. */
function giveUp(): void {
  worker?.terminate();
  worker = undefined;
  finish(undefined);
}
