/** A feed that is there as long as somebody needs it, and shared by all who do. */

import type { From, TapeEvent } from "./events.ts";
import type { Feed, Listener } from "./feed.ts";
import { createQueue } from "./watch.ts";

export interface Shared {
  /** One more needs it; each gives it back once, by `release`. */
  hold(): void;
  release(): void;
  /** Gives it back for everybody. */
  drop(): void;
  /** The feed, while somebody needs it. */
  feed(): Feed | undefined;
  /** An iterator over it, for as long as that keeps up; who is late, or falls behind, catches up on their own. */
  iterate(from: From): AsyncIterator<TapeEvent, void, undefined>;
}

/** `open` makes a feed at a position, `position` says where the shared one begins, `listener` gets what it brings. */
export function createShared(open: (from: From) => Feed, position: () => From, listener: Listener): Shared {
  let feed: Feed | undefined;
  let leave: (() => void) | undefined;
  let holds = 0;

  const shared: Shared = {
    hold() {
      if (holds++ > 0) return;
      feed = open(position());
      leave = feed.listen(listener);
    },
    release() {
      if (holds > 0 && --holds === 0) shared.drop();
    },
    drop() {
      const left = leave;
      holds = 0;
      feed = leave = undefined;
      left?.();
    },
    feed: () => feed,
    iterate: (from) =>
      createQueue((from, listener) => {
        if ((feed?.session.position ?? position()) !== from || feed?.closed) return open(from).listen(listener);
        shared.hold();
        const left = feed!.listen(listener);
        return () => {
          left();
          shared.release();
        };
      }, from)[Symbol.asyncIterator](),
  };
  return shared;
}
