/** Who is present on a channel. Over a WebSocket one can be present oneself; who is here is known over any transport. */

import type { Member } from "./events.ts";
import type { Feed } from "./feed.ts";
import type { Http } from "./http.ts";
import { later } from "./later.ts";
import type { Subscribable } from "./subscribable.ts";

export interface Presence extends Subscribable<readonly Member[]> {
  /** Asks the server who is present. */
  list(): Promise<Member[]>;
  /**
   * Makes a member present until `leave`, also after a reconnection; the same again changes its data. Without an id, one
   * is drawn. Rejects with `unsupported` where there is no WebSocket.
   */
  enter(data?: unknown, member?: string): Promise<void>;
  leave(): void;
}

export interface PresenceSurroundings {
  /** Of the channel. */
  name: string;
  http: Http;
  on(type: string, handler: (data: any) => void): void;
  off(type: string, handler: (data: any) => void): void;
  /** The view of the channel, while it is watched. */
  feed(): Feed | undefined;
}

const NOBODY: readonly Member[] = [];

/** Many applications never ask who is here, so what it takes to know is loaded when somebody does. */
export function createPresence(surroundings: PresenceSurroundings): Presence {
  let members: Presence | undefined;
  const load = later(async () => (members ??= (await import("./members.ts")).createMembers(surroundings)));
  return {
    get: () => members?.get() ?? NOBODY,
    subscribe(listener) {
      const subscribed = load().then(({ subscribe }) => subscribe(listener));
      return () => void subscribed.then((leave) => leave());
    },
    list: async () => (await load()).list(),
    enter: async (data, member) => (await load()).enter(data, member),
    leave: () => void load().then(({ leave }) => leave()),
  };
}
