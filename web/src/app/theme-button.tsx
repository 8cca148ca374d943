import { useLayoutEffect, useState } from "react";
import { keep, ON_DEVICE, readKept } from "./kept.ts";

const KEY = "tokentape.theme";
const NEXT = { system: "light", light: "dark", dark: "system" } as const;
const WORDS = { system: "As the system", light: "Light", dark: "Dark" } as const;
const SIGNS = { system: "◐", light: "☀", dark: "☾" } as const;

type Theme = keyof typeof NEXT;

/** Light, dark, or as the system is; kept on this device. */
export function ThemeButton() {
  const [theme, setTheme] = useState<Theme>(() => {
    const kept = readKept(ON_DEVICE, KEY);
    return kept === "light" || kept === "dark" ? kept : "system";
  });
  useLayoutEffect(() => {
    document.documentElement.dataset.theme = theme;
    keep(ON_DEVICE, KEY, theme);
  }, [theme]);
  const label = `Colours: ${WORDS[theme]}`;
  return (
    <button type="button" className="quiet icon" aria-label={label} title={label} onClick={() => setTheme(NEXT[theme])}>
      {SIGNS[theme]}
    </button>
  );
}
