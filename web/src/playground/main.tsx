import { start } from "../app/start.tsx";
import { prepareHighlighter } from "../markdown/highlight.ts";
import { Playground } from "./playground.tsx";

start("playground", <Playground />);
// Before an answer has code: it takes a network, which may be away by then.
(globalThis.requestIdleCallback ?? setTimeout)(() => prepareHighlighter());
