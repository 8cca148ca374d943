/** The tape of one run as this page has it, read through the client, and the playhead on it. */

import { TokentapeError } from "tokentape";
import { client } from "../../app/server.ts";
import { createStore } from "../store.ts";
import { AT_END, passed, type Playhead } from "./playhead.ts";
import { Tape } from "./tape.ts";

/** A new object after each change; what is in the tape grows in place. */
export interface Recorded {
  readonly tape: Tape;
  /** Its beginning is gone: past its retention. */
  readonly trimmed: boolean;
  readonly failure?: TokentapeError;
}

export interface Recording {
  readonly recorded: { get(): Recorded; subscribe(listener: () => void): () => void };
  readonly head: { get(): Playhead; subscribe(listener: () => void): () => void };
  /** Changes the playhead, by one of the functions of `playhead.ts`. */
  turn(change: (head: Playhead, duration: number) => Playhead): void;
  /** How many events are before the playhead. */
  count(): number;
}

export function createRecording(run: string): Recording {
  let frame = 0;
  let watch: { close(): void } | undefined;
  const { get, set, subscribe } = createStore<Recorded>({ tape: new Tape(), trimmed: false }, begin, end);
  const head = createStore<Playhead>(AT_END);
  let ticking = 0;

  function begin(): void {
    // A recording that is shown again reads its tape again: it is the server that has it.
    set({ tape: new Tape(), trimmed: false });
    let { tape } = get();
    watch = client.watch(`runs/${run}`, {
      from: "start",
      merge: false,
      onEvent(event) {
        if (event.type === "ready" && (event.data.outcome === "gone" || event.data.outcome === "snapshot")) {
          tape = new Tape();
          set({ tape, trimmed: event.data.reason === "trimmed" });
        }
        tape.add(event);
        if (tape.full) watch?.close();
        tell();
      },
      onEnd(failure) {
        tape.cut = !tape.ended;
        set({ ...get(), ...(failure && { failure }) });
      },
    });
  }

  function end(): void {
    watch?.close();
    cancelAnimationFrame(frame);
    cancelAnimationFrame(ticking);
    frame = ticking = 0;
  }

  // Once per frame, however many events come.
  function tell(): void {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      set({ ...get() });
    });
  }

  function turn(change: (head: Playhead, duration: number) => Playhead): void {
    head.set(change(head.get(), get().tape.duration));
    if (head.get().playing && !ticking) {
      let before = performance.now();
      const tick = (now: number): void => {
        head.set(passed(head.get(), Math.max(0, now - before), get().tape.duration));
        before = now;
        ticking = head.get().playing ? requestAnimationFrame(tick) : 0;
      };
      ticking = requestAnimationFrame(tick);
    }
  }

  return {
    recorded: { get, subscribe },
    head: { get: head.get, subscribe: head.subscribe },
    turn,
    count() {
      const { place } = head.get();
      const { tape } = get();
      return place === null ? tape.events.length : tape.countAt(place);
    },
  };
}
