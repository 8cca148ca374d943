/** Where one writes. What could not be sent is still there. */

import { memo, useCallback, useEffect, useImperativeHandle, useLayoutEffect, useRef, useState, useSyncExternalStore, type Ref } from "react";
import { ModelBar } from "./model-bar.tsx";
import { chosen, isOpen, settings, type ModelInfo } from "./settings.ts";
import "./composer.css";

export interface ComposerHandle {
  focus(): void;
  /** Gets the focus where that has no keyboard cover what there is to see, as on a phone. */
  rest(): void;
}

interface ComposerProps {
  ref: Ref<ComposerHandle>;
  models: readonly ModelInfo[];
  isBusy: boolean;
  /** Resolves with whether it was recorded. */
  onSend: (text: string) => Promise<boolean>;
  onStop: () => void;
  onEditLast: () => void;
}

const MAX_LENGTH = 100_000;

export const Composer = memo(function Composer({ ref, models, isBusy, onSend, onStop, onEditLast }: ComposerProps) {
  const [text, setText] = useState("");
  const [isSending, setSending] = useState(false);
  const field = useRef<HTMLTextAreaElement>(null);
  const given = useSyncExternalStore(settings.subscribe, settings.get);
  const lacking = reasonNot(models, given.variant, chosen(models, given));
  const canSend = text.trim() !== "" && lacking === "" && !isSending;

  const rest = useCallback(() => matchMedia("(pointer: fine)").matches && field.current?.focus(), []);
  useImperativeHandle(ref, () => ({ rest, focus: () => field.current?.focus() }), [rest]);
  useEffect(() => void rest(), [rest]);
  // As high as what is written, up to a limit of the style sheet.
  useLayoutEffect(() => {
    const element = field.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${text === "" ? 0 : element.scrollHeight}px`;
  }, [text]);

  const send = async (): Promise<void> => {
    if (!canSend) return;
    const words = text.trim();
    setText("");
    setSending(true);
    rest(); // the button goes
    const isRecorded = await onSend(words);
    setSending(false);
    if (!isRecorded) setText((later) => (later ? `${words}\n${later}` : words));
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <textarea
        ref={field}
        aria-label="Message"
        placeholder={isBusy ? "Interrupt with another message" : "Ask something"}
        rows={1}
        maxLength={MAX_LENGTH}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.nativeEvent.isComposing) return;
          if (event.key === "Enter" && !event.shiftKey) {
            event.preventDefault();
            void send();
          } else if (event.key === "ArrowUp" && text === "") {
            event.preventDefault();
            onEditLast();
          }
        }}
      />
      <div className="bar">
        <ModelBar models={models} />
        <span className="why quiet small" id="why-not">
          {text.trim() !== "" && lacking}
        </span>
        {isBusy && (
          <button
            type="button"
            className="stop"
            onClick={() => {
              onStop();
              rest(); // the button goes
            }}
          >
            Stop <kbd>Esc</kbd>
          </button>
        )}
        {(!isBusy || text !== "") && (
          <button type="submit" className="primary" disabled={!canSend} aria-describedby="why-not">
            {isBusy ? "Interrupt" : "Send"}
          </button>
        )}
      </div>
    </form>
  );
});

/** Why nothing can be asked; empty when it can. */
function reasonNot(models: readonly ModelInfo[], variant: string, model: ModelInfo | undefined): string {
  if (models.length === 0) return "Waiting for the server's models.";
  if (model && isOpen(model.name) && !variant.trim()) return "Name the model.";
  return "";
}
