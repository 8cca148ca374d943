import type { Route } from "../route.ts";

/** Characters that the server searches for, at most. */
const MOST = 200;

/** What is searched for by an address, which may be of somebody else's making. */
export const soughtIn = ({ q = "" }: Route["query"]): string => q.slice(0, MOST);

export function SearchField({ label, value, onChange }: { label: string; value: string; onChange: (text: string | undefined) => void }) {
  return (
    <input
      type="search"
      className="search"
      aria-label={label}
      placeholder={label}
      value={value}
      maxLength={MOST}
      spellCheck={false}
      autoComplete="off"
      onChange={(event) => onChange(event.currentTarget.value || undefined)}
    />
  );
}
