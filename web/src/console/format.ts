/** Numbers for people: as short as they stay true, and of a steady width. */

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const DASH = "–";

export function count(value: number | null | undefined): string {
  return value == null ? DASH : whole.format(value);
}

/** 12, 3.4, 1,234: with a fraction only where it says something. */
export function rate(value: number | null | undefined): string {
  if (value == null) return DASH;
  return value !== 0 && value < 9.95 ? value.toFixed(1) : whole.format(value);
}

/** 12,345 → 12.3k; for axes and tiles. */
export function short(value: number | null | undefined): string {
  if (value == null) return DASH;
  for (const [unit, size] of [["G", 1e9], ["M", 1e6], ["k", 1e3]] as const) {
    // What would be rounded to a thousand of one unit is one of the next.
    if (Math.abs(value) >= (unit === "k" ? size * 10 : size * 0.9995)) return `${trim(value / size)}${unit}`;
  }
  return Number.isInteger(value) ? whole.format(value) : trim(value);
}

function trim(value: number): string {
  return value >= 99.5 ? value.toFixed(0) : value.toFixed(value >= 9.95 || value === 0 ? 1 : 2).replace(/\.?0+$/, "");
}

export function bytes(value: number | null | undefined): string {
  if (value == null) return DASH;
  if (value < 1024) return `${Math.round(value)} B`;
  const power = Math.min(4, Math.floor(Math.log2(value) / 10));
  const size = value / 1024 ** power;
  return `${size < 99.95 ? size.toFixed(1) : size.toFixed(0)} ${["", "KiB", "MiB", "GiB", "TiB"][power]}`;
}

export function millis(value: number | null | undefined): string {
  if (value == null) return DASH;
  if (value >= 999.5) return `${(value / 1000).toFixed(value < 9_995 ? 2 : 1)} s`;
  return `${value < 9.95 ? value.toFixed(1) : whole.format(value)} ms`;
}

/** 45 ms, 4.2 s, 3 m 07 s, 2 h 05 m, 6 d 03 h. */
export function duration(seconds: number | null | undefined): string {
  if (seconds == null) return DASH;
  if (seconds > 0 && seconds < 0.95) return millis(seconds * 1000);
  if (seconds < 59.5) return `${seconds.toFixed(seconds < 9.95 && !Number.isInteger(seconds) ? 1 : 0)} s`;
  const two = (value: number): string => String(Math.floor(value)).padStart(2, "0");
  if (seconds < 60) return "1 m 00 s";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${two(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${two((seconds % 3600) / 60)} m`;
  return `${Math.floor(seconds / 86_400)} d ${two((seconds % 86_400) / 3600)} h`;
}

/** 0:03.250: a place in a tape. */
export function clock(ms: number): string {
  const minutes = Math.floor(ms / 60_000);
  const rest = (ms % 60_000) / 1000;
  return `${minutes}:${(Math.floor(rest * 1000) / 1000).toFixed(3).padStart(6, "0")}`;
}

const day = new Intl.DateTimeFormat("en-CA", { year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

const ofDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The time of day on this machine, from Unix milliseconds. */
export const hour = (ms: number): string => ofDay.format(ms);

/** Shorter still, for a column: the time of a moment of today, else the day alone. */
export function briefly(ms: number, now = Date.now()): string {
  return lately(ms, now).slice(0, 10);
}

/** Short: the time of a moment of today, the day of an older one. */
export function lately(ms: number | null | undefined, now = Date.now()): string {
  const [text, today] = [moment(ms), moment(now)];
  if (ms == null) return text;
  return text.slice(0, 10) === today.slice(0, 10) ? text.slice(11) : text.slice(0, 16);
}

/** The time on this machine, from Unix milliseconds. */
export function moment(ms: number | null | undefined): string {
  return ms == null ? DASH : day.format(ms).replace(",", "");
}
