/** The console: which screen is shown, and what is said when there is nothing to show. */

import { useEffect, useRef, useSyncExternalStore, type ReactNode } from "react";
import { health } from "./health.ts";
import { Away } from "./parts/away.tsx";
import { Overview } from "./overview/overview.tsx";
import { Runs } from "./runs/runs.tsx";
import { Run } from "./run/run.tsx";
import { type Route, routeTo, useRoute } from "./route.ts";
import { Stream } from "./streams/stream.tsx";
import { Streams } from "./streams/streams.tsx";
// What is more special comes later.
import "./console.css";
import "./parts/table.css";
import "./parts/panel.css";
import "./parts/events.css";
import "./parts/inspector.css";
import "./overview/overview.css";
import "./run/run.css";

const SCREENS = [
  { screen: "overview", label: "Overview", href: routeTo("") },
  { screen: "runs", label: "Runs", href: routeTo("runs") },
  { screen: "streams", label: "Streams", href: routeTo("streams") },
] as const;

/** The list that a page belongs to. */
const PARENTS: Partial<Record<Route["screen"], string>> = { run: "runs", stream: "streams" };

export function Console() {
  const route = useRoute();
  const { state } = useSyncExternalStore(health.subscribe, health.get);
  const here = PARENTS[route.screen] ?? route.screen;
  const title = titleOf(route);
  const shown = useRef(title);
  useEffect(() => {
    document.title = `${title} · Console · tokentape`;
    if (shown.current === title) return;
    shown.current = title;
    // As after a page was loaded: from the top, for the eyes and for the keyboard.
    scrollTo(0, 0);
    document.getElementById("content")?.focus({ preventScroll: true });
  }, [title]);
  return (
    <div className="console">
      <nav className="screens" aria-label="Screens">
        {SCREENS.map(({ screen, label, href }) => (
          <a key={screen} href={href} aria-current={screen === here ? (screen === route.screen ? "page" : "true") : undefined}>
            {label}
          </a>
        ))}
      </nav>
      <Away />
      {state !== "off" && state !== "key" && (
        <Screen key={`${route.screen}/${route.name}`} route={route} />
      )}
    </div>
  );
}

function Screen({ route }: { route: Route }): ReactNode {
  switch (route.screen) {
    case "overview":
      return <Overview />;
    case "runs":
      return <Runs query={route.query} />;
    case "run":
      return <Run id={route.name} query={route.query} />;
    case "streams":
      return <Streams query={route.query} />;
    case "stream":
      return <Stream name={route.name} query={route.query} />;
    default:
      return <Nowhere />;
  }
}

function Nowhere() {
  return (
    <section className="empty card">
      <h1>There is no such page</h1>
      <p className="quiet">The address may be from another version, or was cut.</p>
      <a className="button" href={routeTo("")}>
        To the overview
      </a>
    </section>
  );
}

function titleOf({ screen, name }: Route): string {
  if (screen === "unknown") return "Not found";
  return name || SCREENS.find((entry) => entry.screen === screen)?.label || "";
}

