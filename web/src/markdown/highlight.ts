/** The colours of code. The grammars are loaded when the first code that wants them is there. */

import type { Root } from "hast";

type Highlight = (language: string, text: string) => Root | undefined;

let loading: Promise<Highlight> | undefined;
let loaded: Highlight | undefined;

/** The highlighter, when it is there already. */
export const highlighter = (): Highlight | undefined => loaded;

export function loadHighlighter(): Promise<Highlight> {
  loading ??= import("lowlight").then(({ common, createLowlight }) => {
    const lowlight = createLowlight(common);
    loaded = (language, text) => (lowlight.registered(language) ? lowlight.highlight(language, text) : undefined);
    return loaded;
  });
  return loading;
}
