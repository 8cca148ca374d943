/** Fenced code, as CommonMark has it: how it begins, and which line ends it. */

export interface Fence {
  readonly mark: string;
  readonly indent: number;
  readonly language: string;
  /** Characters of the opening line, with its end. */
  readonly length: number;
}

/** The fence with which this text begins; undefined when it does not, or as long as that line goes on. */
export function openingFence(text: string): Fence | undefined {
  const match = /^( {0,3})(`{3,}(?=[^`\n]*\n)|~{3,})([^\n]*)\n/.exec(text);
  if (!match) return undefined;
  const [whole, indent, mark, info] = match as unknown as [string, string, string, string];
  return { mark, indent: indent.length, language: info.trim().split(/\s/, 1)[0]!, length: whole.length };
}

export function closes({ mark }: Fence, line: string): boolean {
  const given = line.trimEnd();
  const bare = given.replace(/^ {0,3}/, "");
  return bare.length >= mark.length && bare === mark[0]!.repeat(bare.length);
}

/** The code without what its fence is indented by. */
export function undent({ indent }: Fence, code: string): string {
  return indent > 0 ? code.replace(new RegExp(`^ {1,${indent}}`, "gm"), "") : code;
}
