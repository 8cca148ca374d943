/** uPlot in the colours of the theme. Loaded when the first chart is shown. */

import UPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { hour } from "../format.ts";
import type { Columns } from "../samples.ts";
import type { ChartSpec } from "./charts.ts";

export interface Plot {
  show(data: Columns, span: number): void;
  resize(width: number): void;
  /** The theme has changed. */
  repaint(): void;
  close(): void;
}

/** Of the drawing, in pixels; the box has it before the drawing is there. */
export const HEIGHT = 150;
const AXIS = 56;
const FONT = "11px system-ui, sans-serif";

const STEPS = {
  whole: Array.from({ length: 9 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** power)).flat(),
  bytes: Array.from({ length: 48 }, (_, power) => 2 ** power),
};

/** 14:05 for a whole minute, :20 within one. */
function tick(at: number): string {
  const time = hour(at * 1000);
  return time.endsWith(":00") ? time.slice(0, 5) : time.slice(5);
}

/** `pointed` is told at which place of the data somebody points, or null. */
export function createPlot(node: HTMLElement, spec: ChartSpec, pointed: (place: number | null) => void): Plot {
  let span = 60;
  let colours: string[] = [];

  // Variables with two colours are told apart only where they are used.
  function colour(value: string): string {
    node.style.color = value;
    const { color } = getComputedStyle(node);
    node.style.color = "";
    return color;
  }

  function look(): void {
    colours = ["var(--line)", "var(--quiet)", ...spec.lines.flatMap(({ hue }) => [`var(--${hue})`, `color-mix(in srgb, var(--${hue}) 10%, transparent)`])].map(colour);
  }

  look();
  const grid = { stroke: () => colours[0]!, width: 1 };
  const axis = { stroke: () => colours[1]!, font: FONT, gap: 4, ticks: { show: false } };
  const plot = new UPlot(
    {
      width: Math.max(node.clientWidth, 100),
      height: HEIGHT,
      padding: [8, 18, 0, 0],
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 5 }, sync: { key: "console" } },
      scales: {
        x: { range: (self) => [(self.data[0].at(-1) ?? 0) - span, self.data[0].at(-1) ?? 0] },
        y: { range: (_, __, max) => [0, Math.max(spec.least, (max ?? 0) * 1.12)] },
      },
      axes: [
        // Below the lowest word of the other axis.
        { ...axis, gap: 8, grid: { show: false }, size: 26, space: 60, values: (_, splits) => splits.map(tick) },
        { ...axis, grid, size: AXIS, space: 36, ...(spec.steps && { incrs: STEPS[spec.steps] }), values: (_, splits) => splits.map((value) => spec.say(value).replace(/\.0+(?!\d)/, "")) },
      ],
      series: [
        {},
        ...spec.lines.map(({ label }, place) => ({
          label,
          width: 1.5,
          stroke: () => colours[2 + 2 * place]!,
          ...(place === 0 && { fill: () => colours[3]! }),
          points: { show: (self: UPlot, line: number, from: number, to: number) => isAlone(self.data[line]!, from, to) },
        })),
      ],
      hooks: { setCursor: [(self) => pointed(self.cursor.idx ?? null)] },
    },
    [[]],
    node,
  );
  // What it shows is said in words beside it.
  plot.root.setAttribute("aria-hidden", "true");

  return {
    show(data, seconds) {
      span = seconds;
      plot.setData(data);
    },
    resize: (width) => plot.setSize({ width, height: HEIGHT }),
    repaint() {
      look();
      plot.redraw(false, true);
    },
    close: () => plot.destroy(),
  };
}

// A line needs two points; a value that stands alone would not be seen.
function isAlone(column: ArrayLike<number | null | undefined>, from: number, to: number): boolean {
  let known = 0;
  for (let place = from; place <= to && known < 2; place += 1) if (column[place] != null) known += 1;
  return known === 1;
}
