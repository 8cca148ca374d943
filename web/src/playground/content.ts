/** The words of a message. Anybody may publish one, so its content is whatever they sent. Pure. */

export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map(partOf).join("\n\n");
  return JSON.stringify(content, undefined, 2) ?? "";
}

/** A part of a message in OpenAI's form; of what is no text, that it is there. */
function partOf(part: unknown): string {
  if (typeof part === "object" && part !== null) {
    const { type, text } = part as { type?: unknown; text?: unknown };
    if (typeof text === "string") return text;
    if (typeof type === "string") return `(${type})`;
  }
  return textOf(part ?? "");
}

/** What a tool was given, or gave back, to be read. */
export function shownValue(value: unknown): string {
  if (typeof value !== "string") return JSON.stringify(value, undefined, 2) ?? "";
  try {
    const parsed: unknown = JSON.parse(value);
    return typeof parsed === "object" && parsed !== null ? JSON.stringify(parsed, undefined, 2) : value;
  } catch {
    return value;
  }
}
