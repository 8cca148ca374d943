import { useConnection } from "tokentape/react";

const WORDS = {
  idle: "Idle",
  connecting: "Connecting",
  open: "Live",
  waiting: "Reconnecting",
  offline: "Offline",
} as const;

/** How the page's own connection is. */
export function Connection() {
  const { state, transport, error } = useConnection();
  const means = state === "idle" ? "This page watches nothing at this moment" : transport === "ws" ? "WebSocket" : "Event streams";
  const title = [means, error?.message].filter(Boolean).join(": ");
  return (
    <span className="badge connection" data-state={state} role="status" title={title}>
      {WORDS[state]}
    </span>
  );
}
