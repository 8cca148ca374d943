import { useCallback, useEffect, useRef, useSyncExternalStore } from "react";
import { flushSync } from "react-dom";
import type { Message } from "tokentape";
import { CopyButton } from "../app/copy-button.tsx";
import { textOf } from "./content.ts";
import type { Actions } from "./message-row.tsx";

interface UserMessageProps {
  message: Message;
  isBusy: boolean;
  actions: Actions;
}

/** What somebody said; it can be said differently, which takes back what came after it. */
export function UserMessage({ message, isBusy, actions }: UserMessageProps) {
  const { editing } = actions;
  const draft = useSyncExternalStore(editing.subscribe, useCallback(() => editing.of(message), [editing, message]));
  const button = useRef<HTMLButtonElement>(null);
  const text = textOf(message.content);
  if (draft !== undefined) {
    const cancel = (opener: HTMLElement | null): void => {
      flushSync(() => editing.end(message));
      // Back to where it was opened: the button was gone meanwhile.
      (opener ?? button.current)?.focus();
    };
    const save = (opener: HTMLElement | null): void => {
      const changed = draft.trim();
      if (!changed || changed === text) return cancel(opener);
      editing.end(message);
      actions.edit(message, changed);
    };
    return (
      <article className="message user" aria-label="You, edited">
        <Editor
          text={draft}
          takesFocus={() => editing.takesFocus(message)}
          onType={(typed) => editing.type(message, typed)}
          onCancel={cancel}
          onSave={save}
        />
      </article>
    );
  }
  return (
    <article className="message user" aria-label="You">
      <p className="said">{text}</p>
      <p className="tools">
        <CopyButton text={text} label="Copy this message" />
        <button
          ref={button}
          type="button"
          className="quiet small-button"
          data-action="edit"
          disabled={isBusy}
          onClick={() => editing.begin(message)}
        >
          Edit
        </button>
      </p>
    </article>
  );
}

interface EditorProps {
  text: string;
  takesFocus: () => boolean;
  onType: (text: string) => void;
  /** These get who had the focus before, if that is still there. */
  onSave: (opener: HTMLElement | null) => void;
  onCancel: (opener: HTMLElement | null) => void;
}

function Editor({ text, takesFocus, onType, onSave, onCancel }: EditorProps) {
  const field = useRef<HTMLTextAreaElement>(null);
  const before = useRef<Element>(null);
  const opener = (): HTMLElement | null =>
    before.current instanceof HTMLElement && before.current !== document.body && before.current.isConnected ? before.current : null;
  useEffect(() => {
    if (!takesFocus() || !field.current) return;
    before.current = document.activeElement;
    field.current.focus();
    field.current.setSelectionRange(field.current.value.length, field.current.value.length);
    // When it opens, and not for each letter.
  }, []);
  return (
    <form
      className="editor"
      onSubmit={(event) => {
        event.preventDefault();
        onSave(opener());
      }}
    >
      <textarea
        ref={field}
        aria-label="Your message"
        rows={Math.min(8, text.split("\n").length + 1)}
        value={text}
        onChange={(event) => onType(event.target.value)}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing) return;
          if (event.key === "Enter" && !event.shiftKey) onSave(opener());
          else if (event.key === "Escape") onCancel(opener());
          else return;
          event.preventDefault();
        }}
      />
      <div>
        <span className="quiet small">What came after it is taken back.</span>
        <button type="button" className="quiet" onClick={() => onCancel(opener())}>
          Cancel
        </button>
        <button type="submit" className="primary">
          Ask again
        </button>
      </div>
    </form>
  );
}
