/**
 * The messages, of which only those in sight are elements: a conversation of thousands costs as much as one of ten.
 * (So the browser's own search finds what is in sight.) It stays at the end while it is there.
 */

import { useVirtualizer } from "@tanstack/react-virtual";
import { useCallback, useImperativeHandle, useLayoutEffect, useRef, useState, type Ref } from "react";
import type { Message } from "tokentape";
import { MessageRow, type Actions } from "./message-row.tsx";
import "./thread.css";

export interface ThreadHandle {
  /** Goes to the newest, and stays there. */
  follow(): void;
}

/** Pixels from the end that still are "at the end". */
const NEAR = 60;
const TYPICAL_HEIGHT = 160;
/** Rows beyond what is in sight. */
const AROUND = 4;

interface ThreadProps {
  ref: Ref<ThreadHandle>;
  chat: string;
  messages: readonly Message[];
  isLoading: boolean;
  isBusy: boolean;
  actions: Actions;
}

export function Thread({ ref, chat, messages, isLoading, isBusy, actions }: ThreadProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const [isAway, setAway] = useState(false);
  const wasAway = useRef(false);
  const height = useRef(0);
  // Messages come and go at the end only, and one that grows keeps its place: not all are measured anew for it.
  const count = messages.length;
  const newest = messages.at(-1)?.first;
  const keyOf = useCallback((place: number) => messages[place]!.first ?? `at ${place}`, [count, newest]);
  const rows = useVirtualizer({
    count,
    getScrollElement: () => scroller.current,
    estimateSize: () => TYPICAL_HEIGHT,
    getItemKey: keyOf,
    overscan: AROUND,
    anchorTo: "end",
    followOnAppend: true,
    scrollEndThreshold: NEAR,
    directDomUpdates: true,
    directDomUpdatesMode: "position",
    paddingStart: 12,
    paddingEnd: 20,
    // From what is known: to ask the element would have it laid out in the middle of a frame.
    onChange: ({ scrollOffset, scrollRect, getTotalSize, scrollToEnd }) => {
      if (!scrollRect) return;
      const isAwayNow = getTotalSize() - (scrollOffset ?? 0) - scrollRect.height > NEAR;
      const isOther = height.current !== scrollRect.height;
      height.current = scrollRect.height;
      // What is written, or went wrong, took some of its room: who is at the end stays there.
      if (isAwayNow && isOther && !wasAway.current) return scrollToEnd();
      wasAway.current = isAwayNow;
      setAway(isAwayNow);
    },
  });
  useImperativeHandle(ref, () => ({ follow: () => rows.scrollToEnd() }), [rows]);

  // A conversation that is opened is read from its end.
  const isThere = messages.length > 0;
  useLayoutEffect(() => {
    if (isThere) rows.scrollToEnd();
  }, [isThere, rows]);

  const last = messages.length - 1;
  return (
    <div className="thread">
      <div
        className="scroller"
        ref={scroller}
        // The browser's own way there is an animation, which ends where heights are not known yet.
        onKeyDown={(event) => {
          if (event.target !== scroller.current || !["Home", "End"].includes(event.key)) return;
          event.preventDefault();
          if (event.key === "End") rows.scrollToEnd();
          else rows.scrollToIndex(0, { align: "start" });
        }}
        tabIndex={0}
        role="log"
        aria-label="Messages"
        aria-live="off"
        aria-busy={isLoading}
      >
        {isLoading && <p className="loading quiet">Loading the conversation…</p>}
        <div className="rows" ref={rows.containerRef}>
          {rows.getVirtualItems().map(({ index, key }) => {
            const message = messages[index];
            return (
              message && (
                <div key={key} data-index={index} ref={rows.measureElement} className="row">
                  <MessageRow
                    chat={chat}
                    message={message}
                    isLast={index === last}
                    isBusy={isBusy && (index === last || message.role === "user")}
                    actions={actions}
                  />
                </div>
              )
            );
          })}
        </div>
      </div>
      {isAway && (
        <button
          type="button"
          className="newest"
          onClick={() => {
            rows.scrollToEnd();
            // The button goes, once it has done that.
            scroller.current?.focus();
          }}
        >
          ↓ To the newest
        </button>
      )}
    </div>
  );
}
