import type { Mark, Story } from "./story.ts";
import { hueOf, isOver, type Watcher } from "./watcher.ts";
import type { Shown, Watchers } from "./watchers.ts";
import { bytes, some } from "./words.ts";
import "./stories.css";

/** Bars of a row; and its size in units of its own, which CSS stretches. */
const BARS = 180;
const WIDTH = 1000;
const HEIGHT = 100;
/** Milliseconds that the axis shows at least. */
const SHORTEST = 4_000;

/** What happened when: a row for each watcher, on one clock. */
export function Stories({ watchers, shown }: { watchers: Watchers; shown: Shown }) {
  const all = shown.watchers;
  const over = all.every((watcher) => isOver(watcher.view()));
  const last = Math.max(0, ...all.map(({ story }) => story.last));
  const span = Math.max(SHORTEST, over ? last : watchers.now());
  const rows = all.map((watcher) => ({ watcher, bars: barsOf(watcher.story, span) }));
  const most = Math.max(1, ...rows.flatMap(({ bars }) => bars));
  return (
    <section className="card stories" aria-label="Story" data-testid="stories">
      <header>
        <h3>Story</h3>
        <ul className="stories-key" aria-hidden="true">
          <li data-mark="bytes">bytes</li>
          <li data-mark="cut">cut</li>
          <li data-mark="resumed">resumed</li>
        </ul>
      </header>
      <div className="stories-rows">
        {rows.map(({ watcher, bars }) => (
          <Row key={watcher.id} watcher={watcher} bars={bars} most={most} span={span} />
        ))}
        <div className="stories-axis" aria-hidden="true">
          {ticks(span).map((seconds) => (
            <span key={seconds} style={{ left: `${(100_000 * seconds) / span}%` }}>{`${seconds} s`}</span>
          ))}
        </div>
      </div>
    </section>
  );
}

function Row({ watcher, bars, most, span }: { watcher: Watcher; bars: readonly number[]; most: number; span: number }) {
  const { name, story } = watcher;
  const x = (at: number): number => (WIDTH * at) / span;
  return (
    <>
      <span className="stories-name">{name}</span>
      <svg
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        preserveAspectRatio="none"
        role="img"
        aria-label={`${name}: ${told(story)}`}
        data-hue={hueOf(watcher)}
        data-testid={`story-${watcher.id}`}
      >
        {gaps(story, span).map(([from, to]) => (
          <rect key={from} className="story-gap" x={x(from)} width={Math.max(2, x(to) - x(from))} y="0" height={HEIGHT} />
        ))}
        <path className="story-bars" d={pathOf(bars, most)} />
        {story.marks.map(({ at, kind }, index) => (
          <line key={index} className="story-mark" data-mark={kind} x1={x(at)} x2={x(at)} y1={kind === "tried" ? 70 : 0} y2={HEIGHT} />
        ))}
      </svg>
    </>
  );
}

/** Bytes of each bar, whatever the story's own columns are. */
function barsOf({ columns, width }: Story, span: number): number[] {
  const bars = new Array<number>(BARS).fill(0);
  columns.forEach((size, index) => {
    const bar = Math.min(BARS - 1, Math.floor((((index + 0.5) * width) / span) * BARS));
    bars[bar]! += size;
  });
  return bars;
}

/** Roots of the sizes: what comes at once after a cut is a hundred times of what comes live. */
function pathOf(bars: readonly number[], most: number): string {
  const step = WIDTH / BARS;
  return bars
    .map((size, index) => (size > 0 ? `M${(index * step).toFixed(1)} ${HEIGHT}v${-Math.max(6, HEIGHT * Math.sqrt(size / most)).toFixed(1)}h${(step * 0.72).toFixed(1)}V${HEIGHT}z` : ""))
    .join("");
}

function gaps({ marks }: Story, span: number): [number, number][] {
  const found: [number, number][] = [];
  let from: number | undefined;
  for (const { at, kind } of marks) {
    if (kind === "cut" || kind === "lost") from ??= at;
    else if (from !== undefined && (kind === "resumed" || kind === "ended")) {
      found.push([from, at]);
      from = undefined;
    }
  }
  if (from !== undefined) found.push([from, span]);
  return found;
}

const WORDS: Readonly<Record<Mark["kind"], (text: string) => string>> = {
  joined: (text) => `joined at ${text}`,
  cut: (text) => `cut at ${text || "the beginning"}`,
  lost: (text) => `connection lost at ${text || "the beginning"}`,
  tried: () => "tried in vain",
  resumed: (text) => `resumed from ${text}`,
  ended: (text) => `ended at ${text}`,
};

/** The same in words; of attempts in vain only that there were some. */
function told({ columns, marks }: Story): string {
  const size = columns.reduce((sum, each) => sum + each, 0);
  const steps = marks
    .filter(({ kind }) => kind !== "tried")
    .slice(-12)
    .map(({ at, kind, text }) => `${WORDS[kind](text)} after ${(at / 1000).toFixed(1)} s`);
  const tries = marks.filter(({ kind }) => kind === "tried").length;
  return [bytes(size), ...steps, ...(tries > 0 ? [`${some(tries, "attempt")} in vain`] : [])].join("; ");
}

function ticks(span: number): number[] {
  const seconds = span / 1000;
  const step = [1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600].find((each) => seconds / each <= 8) ?? Math.ceil(seconds / 6);
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => index * step).filter((tick) => tick <= seconds * 0.97);
}
