import { useEffect, useState } from "react";
import { copyText } from "./copy.ts";

interface CopyButtonProps {
  text: string | (() => string);
  label: string;
  className?: string;
  children?: string;
}

/** Copies a text, and says that it did. */
export function CopyButton({ text, label, className = "quiet small-button", children }: CopyButtonProps) {
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
    <button type="button" className={className} aria-label={said ?? label} title={label} onClick={() => void copy()}>
      {said ?? children ?? "Copy"}
    </button>
  );
}
