import { useEffect, useId, useMemo, useRef, useState } from "react";
import type { Sample } from "../api.ts";
import { hour } from "../format.ts";
import { columns, inWords } from "../samples.ts";
import type { ChartSpec } from "./charts.ts";
import type { createPlot, Plot } from "./plot.ts";

/** What draws the charts is loaded with the first one; undefined where it cannot be had, as from a server of another version. */
const loadPlot = (): Promise<typeof createPlot | undefined> => import("./plot.ts").then((plot) => plot.createPlot, () => undefined);

/** One chart: its lines, what they are at this moment or where somebody points, and the same in words. */
export function Chart({ spec, samples, span }: { spec: ChartSpec; samples: readonly Sample[]; span: number }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<Plot>(null);
  const [place, setPlace] = useState<number | null>(null);
  const [failed, setFailed] = useState(false);
  const id = useId();
  const data = useMemo(() => columns(samples, spec.lines.map(({ reading }) => reading), span), [samples, spec, span]);
  const latest = useRef({ data, span });

  useEffect(() => {
    latest.current = { data, span };
    plot.current?.show(data, span);
  }, [data, span]);

  useEffect(() => {
    const node = box.current!;
    let left = false;
    const size = new ResizeObserver(() => plot.current?.resize(Math.max(node.clientWidth, 100)));
    const theme = new MutationObserver(() => plot.current?.repaint());
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const repaint = (): void => plot.current?.repaint();
    void loadPlot().then((createPlot) => {
      if (left) return;
      if (!createPlot) return setFailed(true);
      plot.current = createPlot(node, spec, setPlace);
      plot.current.show(latest.current.data, latest.current.span);
      size.observe(node);
      theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
      scheme.addEventListener("change", repaint);
    });
    return () => {
      left = true;
      size.disconnect();
      theme.disconnect();
      scheme.removeEventListener("change", repaint);
      plot.current?.close();
      plot.current = null;
    };
  }, [spec]);

  const [times, ...lines] = data;
  const pointed = place === null ? undefined : times[place];
  const words = spec.lines.map(({ label }, line) => inWords(label, lines[line]!, spec.say)).join("; ");
  return (
    <figure className="chart card" aria-labelledby={id}>
      <figcaption>
        <span className="name" title={spec.about}>
          <span id={id}>{spec.name}</span>
          {pointed !== undefined && <span className="quiet number">{hour(pointed * 1000)}</span>}
        </span>
        <span className="legend" aria-hidden="true">
          {spec.lines.map(({ label, hue }, line) => (
            <span key={label} data-hue={hue} data-line={label}>
              <i />
              <span className="quiet">{label}</span>
              <b className="number">{spec.say((pointed === undefined ? lines[line]!.at(-1) : lines[line]![place!]) ?? null)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div ref={box} className="plot" role="img" aria-label={`${spec.name}. ${words}`}>
        {failed && <p className="quiet small">It cannot be drawn: what draws it did not load. Load this page again.</p>}
      </div>
    </figure>
  );
}
