/** Where a tape is played, and how fast. Pure: the time that has passed is an argument. */

export const SPEEDS = [1, 4, 16] as const;
export type Speed = (typeof SPEEDS)[number];

export interface Playhead {
  /** Milliseconds after the first event; null is the end, wherever that is: of a live run, what comes. */
  readonly place: number | null;
  readonly playing: boolean;
  readonly speed: Speed;
}

export const AT_END: Playhead = { place: null, playing: false, speed: 1 };

/** So much time has passed. */
export function passed(head: Playhead, ms: number, duration: number): Playhead {
  return head.playing && head.place !== null ? arrived({ ...head, place: head.place + ms * head.speed }, duration) : head;
}

/** Plays or pauses. From the end it begins anew, unless the run goes on: then what is live is held still. */
export function toggled(head: Playhead, duration: number, isLive: boolean): Playhead {
  if (head.playing) return { ...head, playing: false };
  if (head.place === null) return isLive ? { ...head, place: duration } : { ...head, place: 0, playing: duration > 0 };
  return { ...head, playing: true };
}

/** Goes to a moment, and plays on from there if it played. */
export function moved(head: Playhead, place: number, duration: number): Playhead {
  return arrived({ ...head, place: Math.max(0, place) }, duration);
}

/** To the next or the previous of these times. */
export function stepped(head: Playhead, times: readonly number[], forward: boolean, duration: number): Playhead {
  const here = head.place ?? duration;
  const next = forward ? times.find((time) => time > here) : times.findLast((time) => time < here);
  return moved({ ...head, playing: false }, next ?? (forward ? duration : 0), duration);
}

function arrived(head: Playhead, duration: number): Playhead {
  return head.place !== null && head.place >= duration ? { ...head, place: null, playing: false } : head;
}
