/** The members of a channel, and being one: the part of `presence` that is loaded when it is first used. */

import { TokentapeError } from "./errors.ts";
import type { Member } from "./events.ts";
import { pathOf, randomId } from "./http.ts";
import type { Presence, PresenceSurroundings } from "./presence.ts";
import { createListeners } from "./subscribable.ts";

type Change = Member & { action: "join" | "update" | "leave" };

export function createMembers({ name, http, on, off, feed }: PresenceSurroundings): Presence {
  const members = new Map<string, Member>();
  let shown: readonly Member[] = [];
  // Changes that came while the list was asked for, which may be older than they are.
  let pending: Change[] = [];
  let asked = 0;
  let watchers = 0;
  let own: { id: string; data: unknown; resolve(answer: any): void; reject(error: TokentapeError): void } | undefined;

  const listeners = createListeners(
    () => {
      if (watchers++ > 0) return;
      on("presence", change);
      on("ready", refresh);
      if (isOpen()) void refresh();
    },
    () => {
      if (--watchers > 0) return;
      off("presence", change);
      off("ready", refresh);
    },
  );

  const list = async (): Promise<Member[]> => (await http.call<{ members: Member[] }>("GET", pathOf(name, "presence"), { repeat: true })).members;
  const isOpen = (): boolean => feed()?.session.state === "playing";
  const request = (fields: Record<string, unknown>): Promise<unknown> | undefined => feed()?.request("presence", fields);

  function apply({ action, id, data }: Change): void {
    if (action === "leave") members.delete(id);
    else members.set(id, { id, data });
  }

  function show(): void {
    shown = [...members.values()];
    listeners.tell();
  }

  function change(change: Change): void {
    pending.push(change);
    apply(change);
    show();
  }

  // What happened while there was no connection is not told again, so each view begins with the list.
  async function refresh(): Promise<void> {
    const mine = ++asked;
    pending = [];
    const found = await list().catch(() => undefined);
    if (mine !== asked || !found) return;
    members.clear();
    for (const member of found) members.set(member.id, member);
    pending.forEach(apply);
    show();
  }

  function track(): void {
    const { id, data, resolve, reject } = own!;
    const sent = request({ action: "track", member: id, data });
    if (!sent) reject(new TokentapeError("unsupported", "To be present takes a WebSocket, and this connection is none."));
    // One that was lost on the way is sent again when the next view begins.
    else sent.then(resolve, (error: TokentapeError) => error.code === "unreachable" || reject(error));
  }

  return {
    get: () => shown,
    subscribe: listeners.add,
    list,
    enter: (data = null, member = own?.id ?? randomId()) =>
      new Promise((resolve, reject) => {
        own?.resolve(undefined);
        own = { id: member, data, resolve: resolve as () => void, reject };
        on("ready", track);
        if (isOpen()) track();
      }),
    leave() {
      if (!own) return;
      own.resolve(undefined);
      request({ action: "untrack", member: own.id })?.catch(() => {});
      own = undefined;
      off("ready", track);
    },
  };
}
