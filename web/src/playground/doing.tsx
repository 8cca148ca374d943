import { memo } from "react";
import { wordsOf } from "./doings.ts";
import { useNote } from "./use-note.ts";

/** What a run is doing as long as it says nothing. */
export const Doing = memo(function Doing({ run, isSilent }: { run: string; isSilent: boolean }) {
  const status = useNote(run)?.status;
  if (status === undefined && !isSilent) return null;
  return (
    <p className="doing quiet">
      <i className="pulse" aria-hidden="true" /> {status === undefined ? "Waiting for the first token" : wordsOf(status)}
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
