/** Colours code beside the page: a grammar that is used for the first time takes longer than a frame. */

import type { Nodes } from "hast";
import { common, createLowlight } from "lowlight";
import type { Piece, Wanted } from "./highlight.ts";

const lowlight = createLowlight(common);

addEventListener("message", ({ data }: MessageEvent<Wanted>) => {
  postMessage(coloured(data));
});

function coloured({ language, text }: Wanted): readonly Piece[] | undefined {
  if (!lowlight.registered(language)) return undefined;
  return lowlight.highlight(language, text).children.map(piece);
}

function piece(node: Nodes): Piece {
  if (node.type === "text") return node.value;
  if (node.type !== "element") return "";
  const names = node.properties.className;
  return [Array.isArray(names) ? names.join(" ") : "", node.children.map(piece)];
}
