import { useId, useRef } from "react";
import { MAX_STREAMS, MAX_WATCHERS, NAMES, type Watchers } from "./watchers.ts";
import type { Watcher } from "./watcher.ts";
import "../menu.css";
import "./join-menu.css";

const ENTRANCES = [
  { from: "start", label: "from the start" },
  { from: "now", label: "from now" },
  { from: "snapshot", label: "snapshot" },
] as const;
const TRANSPORTS = ["sse", "ws"] as const;

/** The id of the button that opens it. */
export const JOIN = "panes-join";

/** Adds a watcher: over what, and from where. Without watchers, as it will be. */
export function JoinMenu({ watchers, all }: { watchers: Watchers | undefined; all: readonly Watcher[] }) {
  const id = useId();
  const menu = useRef<HTMLDivElement>(null);
  const streams = all.filter(({ transport }) => transport === "sse").length;
  return (
    <>
      <button id={JOIN} type="button" popoverTarget={id} disabled={!watchers || all.length >= MAX_WATCHERS}>
        + Join late
      </button>
      <div id={id} ref={menu} popover="auto" className="card menu join-menu" role="group" aria-label="Add a watcher">
        {TRANSPORTS.map((transport) =>
          ENTRANCES.map(({ from, label }) => (
            <button
              key={`${transport} ${from}`}
              type="button"
              className="quiet"
              disabled={transport === "sse" && streams >= MAX_STREAMS}
              onClick={() => {
                menu.current?.hidePopover();
                watchers?.add(transport, from);
              }}
            >
              {`${NAMES[transport]}, ${label}`}
            </button>
          )),
        )}
      </div>
    </>
  );
}
