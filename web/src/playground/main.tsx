import { start } from "../app/start.tsx";
import { loadHighlighter } from "../markdown/highlight.ts";
import { Playground } from "./playground.tsx";

start("playground", <Playground />);
// Before an answer has code: starting it takes ten milliseconds, which would be seen, and a network, which may be away.
(globalThis.requestIdleCallback ?? setTimeout)(() => void loadHighlighter());
