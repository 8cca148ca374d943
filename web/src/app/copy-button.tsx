import { useEffect, useState } from "react";
import { copyText } from "./copy.ts";

/** Copies a text, and says that it did. */
export function CopyButton({ text, label, children }: { text: string | (() => string); label: string; children?: string }) {
  const [said, setSaid] = useState<string>();
  useEffect(() => {
    if (said === undefined) return undefined;
    const timer = setTimeout(() => setSaid(undefined), 1_600);
    return () => clearTimeout(timer);
  }, [said]);
  const copy = async (): Promise<void> => {
    setSaid((await copyText(typeof text === "string" ? text : text())) ? "Copied" : "Select and copy by hand");
  };
  return (
    <button type="button" className="quiet small-button" aria-label={said ?? label} title={label} onClick={() => void copy()}>
      {said ?? children ?? "Copy"}
    </button>
  );
}
