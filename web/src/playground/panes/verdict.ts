/** What is to be said of several watchers together: whether all of them were given the same. Pure. */

import { relate, type Relation } from "./equality.ts";
import type { Tape } from "./tape.ts";
import type { Watcher } from "./watcher.ts";

export interface Verdict {
  /**
   * `so-far`: each has the beginning of the longest. `equal`: all have all of the tape, and it has ended. `too-long`: not
   * all of it was kept to be compared.
   */
  kind: "none" | "so-far" | "equal" | "differs" | "too-long";
  /** The last offset that all of them have. */
  upto: number;
  /** The first offset at which one differs, and who. */
  at?: number;
  who?: string;
  lost: number;
  repeated: number;
  /** Characters of the text. */
  characters: number;
  /** SHA-256 of the text that is shown, when all are equal; of the tape, too. */
  hash?: string | undefined;
}

export interface Judgement {
  readonly verdict: Verdict;
  /** How each watcher, by its id, stands to the longest. */
  readonly relations: ReadonlyMap<string, Relation>;
}

export const NOTHING: Verdict = { kind: "none", upto: 0, lost: 0, repeated: 0, characters: 0 };

export function judge(watchers: readonly Pick<Watcher, "id" | "name" | "from" | "ledger">[], tape: Pick<Tape, "ledger">): Judgement {
  const relations = new Map<string, Relation>();
  const whole = watchers.filter(({ from }) => from !== "now");
  // The tape is read once a second only.
  const longest = whole.reduce((most, { ledger }) => (ledger.record.length > most.record.length ? ledger : most), tape.ledger);
  const verdict: Verdict = { ...NOTHING, characters: longest.text.length, upto: longest.offset };
  for (const { id, name, ledger } of watchers) {
    let relation = relate(ledger, tape.ledger, true);
    // Beyond what was read of the tape, by who has most; which cannot be said of who joined where that one has no mark.
    if (relation.kind === "unknown" || (relation.kind === "prefix" && ledger.offset > tape.ledger.offset)) {
      const ahead = relate(ledger, longest, false);
      if (ahead.kind !== "unknown") relation = ahead;
    }
    relations.set(id, relation);
    verdict.upto = Math.min(verdict.upto, ledger.offset);
    verdict.repeated += ledger.repeated;
    if (relation.kind !== "differs") continue;
    verdict.lost += relation.lost;
    if (verdict.at === undefined || relation.offset < verdict.at) Object.assign(verdict, { at: relation.offset, who: name });
  }
  const each = [...relations.values()];
  const differs = verdict.repeated > 0 || each.some(({ kind }) => kind === "differs");
  const equal = each.every(({ kind }) => kind === "whole");
  const isNothing = watchers.length === 0 || longest.received === 0;
  const isTooLong = [tape, ...watchers].some(({ ledger }) => ledger.full);
  verdict.kind = isNothing ? "none" : differs ? "differs" : isTooLong ? "too-long" : equal ? "equal" : "so-far";
  return { verdict, relations };
}
