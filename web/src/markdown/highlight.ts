/** The colours of code. The grammars are a file of their own, loaded once. */

import type { Root } from "hast";

type Highlight = (language: string, text: string) => Root | undefined;

let loading: Promise<Highlight | undefined> | undefined;

/** The highlighter; nothing while the network is away: code stays plain then, and whoever comes next tries again. */
export function loadHighlighter(): Promise<Highlight | undefined> {
  loading ??= import("lowlight").then(
    ({ common, createLowlight }) => {
      const lowlight = createLowlight(common);
      return (language, text) => (lowlight.registered(language) ? lowlight.highlight(language, text) : undefined);
    },
    () => {
      loading = undefined;
      return undefined;
    },
  );
  return loading;
}
