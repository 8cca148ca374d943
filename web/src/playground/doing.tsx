import { memo } from "react";
import { useNote } from "./use-note.ts";

/** What a run is doing as long as it says nothing. */
export const Doing = memo(function Doing({ run, isSilent }: { run: string; isSilent: boolean }) {
  const status = useNote(run)?.status;
  if (!status && !isSilent) return null;
  return (
    <p className="doing quiet">
      <i className="pulse" aria-hidden="true" /> {status ? words(status) : "Waiting for the first token"}
    </p>
  );
});

/** That an answer began anew: what it had said before is void. */
export const Resets = memo(function Resets({ run }: { run: string }) {
  const resets = useNote(run)?.resets ?? [];
  return resets.map((reason, place) => (
    <p key={place} className="reset">
      It began anew ({reason}): what it had said before was taken back.
    </p>
  ));
});

function words(status: Readonly<Record<string, unknown>>): string {
  const { state, position, attempt, seconds, code, failover } = status;
  if (state === "queued") return `Waiting: ${plural(Number(position), "run")} before this one`;
  if (state === "retrying") return `Trying again in ${seconds} s, attempt ${attempt}: ${code}`;
  if (failover) return `Went over to another model: ${JSON.stringify(failover)}`;
  if (typeof state === "string" && Object.keys(status).length === 1) return state;
  return JSON.stringify(status).slice(0, 300);
}

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
