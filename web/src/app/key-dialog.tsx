import { useEffect, useRef, useState } from "react";
import { askForKey } from "./server.ts";

/** Asks for the key of a server that wants one, once for all who wait for it. */
export function KeyDialog() {
  const dialog = useRef<HTMLDialogElement>(null);
  const [refused, setRefused] = useState(false);
  const answer = useRef<PromiseWithResolvers<string> | undefined>(undefined);

  useEffect(() => {
    askForKey((wasRefused) => {
      if (!answer.current) {
        answer.current = Promise.withResolvers();
        setRefused(wasRefused);
        // Else whoever closes it would give the key of the last time again.
        if (dialog.current) dialog.current.returnValue = "";
        dialog.current?.showModal();
      }
      return answer.current.promise;
    });
    return () => askForKey(undefined);
  }, []);

  return (
    <dialog
      ref={dialog}
      aria-labelledby="key-title"
      onClose={() => {
        answer.current?.resolve(dialog.current?.returnValue ?? "");
        answer.current = undefined;
      }}
    >
      <form
        method="dialog"
        onSubmit={(event) => {
          event.preventDefault();
          dialog.current?.close(String(new FormData(event.currentTarget).get("key")).trim());
          event.currentTarget.reset();
        }}
      >
        <h2 id="key-title">{refused ? "The server refused this key" : "This server wants a key"}</h2>
        <p className="quiet">It is kept until this tab is closed, and sent to this server only.</p>
        <label>
          Key
          <input name="key" type="password" autoComplete="off" required autoFocus />
        </label>
        <button type="submit" className="primary">
          Use it
        </button>
      </form>
    </dialog>
  );
}
