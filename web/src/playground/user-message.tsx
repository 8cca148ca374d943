import { useEffect, useRef, useState } from "react";
import type { Message } from "tokentape";
import { CopyButton } from "../app/copy-button.tsx";
import { textOf } from "./content.ts";
import type { Actions } from "./message-row.tsx";

/** What somebody said; it can be said differently, which takes back what came after it. */
export function UserMessage({ message, isBusy, actions }: { message: Message; isBusy: boolean; actions: Actions }) {
  const [isEditing, setEditing] = useState(false);
  const text = textOf(message.content);
  if (isEditing) {
    return (
      <article className="message user" aria-label="You, edited">
        <Editor
          text={text}
          onCancel={() => setEditing(false)}
          onSave={(changed) => {
            setEditing(false);
            actions.edit(message, changed);
          }}
        />
      </article>
    );
  }
  return (
    <article className="message user" aria-label="You">
      <p className="said">{text}</p>
      <p className="tools">
        <CopyButton text={text} label="Copy this message" />
        <button type="button" className="quiet small-button" data-action="edit" disabled={isBusy} onClick={() => setEditing(true)}>
          Edit
        </button>
      </p>
    </article>
  );
}

function Editor({ text, onSave, onCancel }: { text: string; onSave: (text: string) => void; onCancel: () => void }) {
  const [value, setValue] = useState(text);
  const field = useRef<HTMLTextAreaElement>(null);
  const save = (): void => {
    if (value.trim() && value.trim() !== text) onSave(value.trim());
    else onCancel();
  };
  useEffect(() => {
    field.current?.focus();
    field.current?.setSelectionRange(text.length, text.length);
  }, [text]);
  return (
    <form
      className="editor"
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <textarea
        ref={field}
        aria-label="Your message"
        rows={Math.min(8, value.split("\n").length + 1)}
        value={value}
        onChange={(event) => setValue(event.target.value)}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing) return;
          if (event.key === "Enter" && !event.shiftKey) save();
          else if (event.key === "Escape") onCancel();
          else return;
          event.preventDefault();
        }}
      />
      <div>
        <span className="quiet small">What came after it is taken back.</span>
        <button type="button" className="quiet" onClick={onCancel}>
          Cancel
        </button>
        <button type="submit" className="primary">
          Ask again
        </button>
      </div>
    </form>
  );
}
