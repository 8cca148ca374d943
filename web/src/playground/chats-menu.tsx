import { useId, useRef, useState } from "react";
import { hashOf } from "./address.ts";
import { forget, type RecentChat } from "./recent.ts";
import "./menu.css";
import "./chats-menu.css";

/** The chats of this device. */
export function ChatsMenu({ chat, known }: { chat: string; known: readonly RecentChat[] }) {
  const id = useId();
  const menu = useRef<HTMLDivElement>(null);
  const [now, setNow] = useState(Date.now);
  if (known.length === 0) return null;
  return (
    <div className="chats">
      <button type="button" className="quiet" popoverTarget={id}>
        Recent ▾
      </button>
      <div
        id={id}
        ref={menu}
        popover="auto"
        className="card menu"
        role="group"
        aria-label="Recent chats"
        onBeforeToggle={() => setNow(Date.now())}
      >
        <ul>
          {known.map((entry) => (
            <li key={entry.chat}>
              <a
                href={hashOf(entry.chat)}
                aria-current={entry.chat === chat ? "page" : undefined}
                title={entry.chat}
                onClick={() => menu.current?.hidePopover()}
              >
                <span>{entry.title}</span>
                <time dateTime={new Date(entry.at).toISOString()}>{ago(now - entry.at)}</time>
              </a>
              <button
                type="button"
                className="quiet icon"
                aria-label={`Forget ${entry.title}`}
                title="Forget it on this device"
                onClick={({ currentTarget }) => {
                  // The focus goes to the next one, before this one is gone.
                  const item = currentTarget.closest("li");
                  (item?.nextElementSibling ?? item?.previousElementSibling)?.querySelector("button")?.focus();
                  forget(entry.chat);
                }}
              >
                ✕
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
}

function ago(milliseconds: number): string {
  const minutes = Math.floor(milliseconds / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes} min`;
  return minutes < 1_440 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1_440)} d`;
}
