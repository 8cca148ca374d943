export function SearchField({ label, value, onChange }: { label: string; value: string; onChange: (text: string | undefined) => void }) {
  return (
    <input
      type="search"
      className="search"
      aria-label={label}
      placeholder={label}
      value={value}
      maxLength={200}
      spellCheck={false}
      autoComplete="off"
      onChange={(event) => onChange(event.currentTarget.value || undefined)}
    />
  );
}
