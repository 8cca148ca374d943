/** Which charts there are, and what their lines mean. */

import { bytes, millis, rate, short } from "../format.ts";
import { percentile, type Reading } from "../samples.ts";

export interface Line {
  readonly label: string;
  /** A colour of the theme. */
  readonly hue: "sse" | "ws" | "late" | "ok" | "warn" | "bad" | "quiet";
  readonly reading: Reading;
}

export interface ChartSpec {
  readonly name: string;
  /** What is measured, for whoever wonders. */
  readonly about: string;
  readonly lines: readonly Line[];
  readonly say: (value: number | null) => string;
  /** The top of the scale is no lower. */
  readonly least: number;
  /** Which steps the scale may have: of things that are counted, or of memory. */
  readonly steps?: "whole" | "bytes";
}

const percentiles = (which: "ttft" | "inter_token" | "delivery"): readonly Line[] => [
  { label: "p50", hue: "sse", reading: percentile(which, "p50") },
  { label: "p90", hue: "ws", reading: percentile(which, "p90") },
  { label: "p99", hue: "warn", reading: percentile(which, "p99") },
];

export const CHARTS: readonly ChartSpec[] = [
  {
    name: "Tokens per second",
    about: "Written by the runs of this process",
    lines: [{ label: "tokens", hue: "sse", reading: (sample) => sample.tokens }],
    say: rate,
    least: 10,
  },
  {
    name: "Events per second",
    about: "Accepted by the store, and delivered to watchers",
    lines: [
      { label: "accepted", hue: "sse", reading: (sample) => sample.events },
      { label: "delivered", hue: "late", reading: (sample) => sample.delivered },
    ],
    say: rate,
    least: 10,
  },
  {
    name: "Time to first token",
    about: "From the start of a run to its first token",
    lines: percentiles("ttft"),
    say: millis,
    least: 10,
  },
  {
    name: "Inter-token delay",
    about: "Between two reads of one run that brought tokens",
    lines: percentiles("inter_token"),
    say: millis,
    least: 10,
  },
  {
    name: "Delivery delay",
    about: "From the store's acceptance to the sockets of the watchers",
    lines: percentiles("delivery"),
    say: millis,
    least: 5,
  },
  {
    name: "Watchers and connections",
    about: "Open at that moment",
    lines: [
      { label: "watchers", hue: "sse", reading: (sample) => sample.watchers },
      { label: "connections", hue: "ws", reading: (sample) => sample.connections },
      { label: "runs", hue: "late", reading: (sample) => sample.runs },
    ],
    say: short,
    least: 4,
    steps: "whole",
  },
  {
    name: "Resumes and reconnects",
    about: "Watches that began, and of these those at a position that the client held, per second",
    lines: [
      { label: "resumes", hue: "late", reading: (sample) => sample.resumes },
      { label: "reconnects", hue: "warn", reading: (sample) => sample.reconnects },
    ],
    say: rate,
    least: 2,
  },
  {
    name: "Bytes sent per second",
    about: "To watchers",
    lines: [{ label: "bytes", hue: "sse", reading: (sample) => sample.bytes_out }],
    say: bytes,
    least: 1024,
    steps: "bytes",
  },
  {
    name: "Processor",
    about: "Share of one core",
    lines: [{ label: "of a core", hue: "ws", reading: (sample) => sample.cpu * 100 }],
    say: (value) => (value === null ? "–" : `${value.toFixed(0)} %`),
    least: 10,
  },
  {
    name: "Memory",
    about: "Resident memory of the process",
    lines: [{ label: "resident", hue: "late", reading: (sample) => sample.memory }],
    say: bytes,
    least: 16 * 1_048_576,
    steps: "bytes",
  },
];
