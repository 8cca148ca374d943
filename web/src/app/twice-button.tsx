import { useEffect, useState } from "react";

interface TwiceButtonProps {
  label: string;
  /** What it says when it was pressed once. */
  again: string;
  title: string;
  className?: string;
  isDisabled: boolean;
  onPress: () => void;
}

/** Milliseconds in which the second press counts. */
const PATIENCE = 4_000;

/** For what cannot be taken back: it has to be pressed twice. */
export function TwiceButton({ label, again, title, className, isDisabled, onPress }: TwiceButtonProps) {
  const [isArmed, setArmed] = useState(false);
  useEffect(() => {
    if (!isArmed) return undefined;
    const timer = setTimeout(() => setArmed(false), PATIENCE);
    return () => clearTimeout(timer);
  }, [isArmed]);
  return (
    <button
      type="button"
      className={className}
      disabled={isDisabled}
      title={title}
      onBlur={() => setArmed(false)}
      onClick={() => {
        setArmed(!isArmed);
        if (isArmed) onPress();
      }}
    >
      {isArmed ? again : label}
    </button>
  );
}
