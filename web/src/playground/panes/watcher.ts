/**
 * One watcher of a run: a client of its own on a network of its own, and the account of what came of it.
 *
 * It knows nothing of the page. `changed` is for what seldom changes, `came` for what comes with each event.
 */

import { createClient, type From, type TapeEvent, type TokentapeError } from "tokentape";
import { BASE, token } from "../../app/server.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import { createLink } from "./link.ts";
import { createStory, type Story } from "./story.ts";

/** Milliseconds between attempts: somebody is looking, so they are short. */
const BACKOFF = { base: 200, cap: 500 };
/** Milliseconds: on a slow link a large message takes its time, and is not there before its end. */
const SILENCE = 60_000;
/** Breaks of the connection that are kept. */
const MAX_GAPS = 50;
/** Pieces of the text that are told apart. */
const MAX_STRETCHES = 200;

export type State = "connecting" | "live" | "cut" | "waiting" | "ended" | "failed";

/** A time without a connection, and what made up for it. */
export interface Gap {
  readonly why: "cut" | "lost";
  /** What the watcher had. */
  readonly cursor: string;
  /** How long there was no connection; undefined while that goes on. */
  readonly seconds?: number;
  /** How the server took it up again. */
  readonly outcome?: string;
  /** Events that were missed and have come since, and as how many they came. */
  readonly missed: number;
  readonly merged: number;
  /** Whether the watcher has what the others had when it came back. */
  readonly over: boolean;
}

/** A stretch of the text: as it was said, or as it was made up for. */
export interface Stretch {
  readonly from: number;
  readonly missed: boolean;
}

export interface View {
  readonly state: State;
  /** When a cut ends, on `performance.now`; undefined when it has to be ended. */
  readonly until?: number | undefined;
  readonly rate: number;
  readonly gaps: readonly Gap[];
  /** How often it was taken up again. */
  readonly resumed: number;
  readonly error?: TokentapeError | undefined;
}

/** Whether nothing more will come. */
export const isOver = ({ state }: View): boolean => state === "ended" || state === "failed";

export interface Watcher {
  readonly id: string;
  readonly name: string;
  /** It was added to those that were there from the beginning. */
  readonly isLate: boolean;
  readonly transport: "sse" | "ws";
  readonly from: From;
  readonly ledger: Ledger;
  readonly story: Story;
  readonly stretches: readonly Stretch[];
  view(): View;
  /** Breaks the connection for so many seconds, or until `restore`. */
  cut(seconds?: number): void;
  restore(): void;
  /** Bytes per second; 0 is without a limit. */
  slow(rate: number): void;
  /** Has the link throw the next message away. */
  lose(): void;
  close(): void;
}

/** The name of its colour. */
export const hueOf = ({ isLate, transport }: Watcher): string => (isLate ? "late" : transport);

export interface WatcherOptions {
  id: string;
  name: string;
  isLate: boolean;
  run: string;
  transport: "sse" | "ws";
  from: From;
  /** The last offset that anybody has. */
  head: () => number;
  /** Milliseconds since the first watcher of this run. */
  now: () => number;
  changed: () => void;
  came: () => void;
}

export function createWatcher({ id, name, isLate, run, transport, from, head, now, changed, came }: WatcherOptions): Watcher {
  const ledger = createLedger();
  const story = createStory(now);
  const link = createLink({
    came(bytes) {
      story.came(bytes);
      came();
    },
    tried(up) {
      if (!up) story.mark("tried", "");
      came();
    },
  });
  const client = createClient({
    url: BASE,
    transport,
    token,
    fetch: link.fetch,
    WebSocket: link.WebSocket,
    backoff: BACKOFF,
    timeouts: { silence: SILENCE },
  });
  let stretches: Stretch[] = [{ from: 0, missed: false }];
  let resets = 0;
  let view: View = { state: "connecting", rate: 0, gaps: [], resumed: 0 };
  let timer: ReturnType<typeof setTimeout> | undefined;
  let gapBegan = 0;
  let aim = 0;

  function show(change: Partial<View>): void {
    view = { ...view, ...change };
    changed();
  }

  function stateNow(): State {
    if (isOver(view)) return view.state;
    if (!link.up) return "cut";
    const { state } = client.status.get();
    return state === "open" ? "live" : state === "waiting" || state === "offline" ? "waiting" : "connecting";
  }

  /** The gap that goes on, or is being made up for. */
  const open = (): Gap | undefined => {
    const last = view.gaps.at(-1);
    return last?.over ? undefined : last;
  };

  function amend(gap: Gap, change: Partial<Gap>): void {
    show({ gaps: view.gaps.with(-1, { ...gap, ...change }) });
  }

  function begin(why: Gap["why"]): void {
    const before = open();
    // A connection that breaks again before it came up is still the same gap.
    if (before && before.seconds === undefined) return;
    if (before) amend(before, { over: true });
    gapBegan = now();
    story.mark(why, ledger.cursor);
    const gap: Gap = { why, cursor: ledger.cursor, missed: 0, merged: 0, over: false };
    show({ gaps: [...view.gaps.slice(-MAX_GAPS + 1), gap] });
  }

  function ready(event: TapeEvent & { type: "ready" }): void {
    const gap = open();
    if (!gap || gap.seconds !== undefined) {
      if (ledger.received === 0) story.mark("joined", event.data.cursor);
      return;
    }
    aim = head();
    story.mark("resumed", event.data.cursor);
    show({ resumed: view.resumed + 1 });
    amend(gap, { seconds: (now() - gapBegan) / 1000, outcome: event.data.outcome, over: aim <= ledger.offset });
  }

  function take(event: TapeEvent): void {
    const before = ledger.text.length;
    const span = ledger.take(event);
    if (ledger.resets !== resets) {
      resets = ledger.resets;
      stretches = [{ from: 0, missed: false }];
    }
    if (event.type === "ready") ready(event);
    const gap = open();
    // A server that is behind itself says more at once than was missed, which then counts too.
    const missed = span > 0 && gap?.seconds !== undefined;
    if (missed) amend(gap, { missed: gap.missed + span, merged: gap.merged + 1, over: ledger.offset >= aim });
    if (ledger.text.length > before) stretch(before, missed);
    came();
  }

  function stretch(at: number, missed: boolean): void {
    if (stretches.at(-1)!.missed !== missed && stretches.length < MAX_STRETCHES) stretches.push({ from: at, missed });
  }

  function restore(): void {
    clearTimeout(timer);
    link.restore();
    show({ state: stateNow(), until: undefined });
  }

  const forget = client.status.subscribe(() => {
    const state = stateNow();
    if (state === "waiting" && view.state !== "waiting") begin("lost");
    if (state !== view.state) show({ state });
  });

  const watch = client.watch(`runs/${run}`, {
    from,
    onEvent: take,
    onEnd(error) {
      clearTimeout(timer);
      story.mark("ended", error?.code ?? ledger.cursor);
      show({ state: error ? "failed" : "ended", error, until: undefined });
    },
  });

  return {
    id,
    name,
    isLate,
    transport,
    from,
    ledger,
    story,
    get stretches() {
      return stretches;
    },
    view: () => view,
    cut(seconds) {
      if (isOver(view)) return;
      clearTimeout(timer);
      begin("cut");
      link.cut();
      const until = seconds === undefined ? undefined : performance.now() + seconds * 1000;
      if (seconds !== undefined) timer = setTimeout(restore, seconds * 1000);
      show({ state: "cut", until });
    },
    restore,
    slow(rate) {
      link.rate = rate;
      show({ rate });
    },
    lose: link.lose,
    close() {
      clearTimeout(timer);
      forget();
      watch.close();
      client.close();
    },
  };
}
