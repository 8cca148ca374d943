/** Where a link of a text leads: to this server, to another place, or nowhere at all. Pure. */

export type Address =
  | { readonly kind: "here"; readonly href: string }
  /** Another host: named, and gone to when somebody says so. */
  | { readonly kind: "away"; readonly href: string; readonly host: string }
  /** `javascript:`, `data:` and all else that a text has no business with. */
  | { readonly kind: "none" };

export function addressOf(href: string, base: string): Address {
  let url: URL;
  try {
    url = new URL(href, base);
  } catch {
    return { kind: "none" };
  }
  if (url.protocol !== "https:" && url.protocol !== "http:") return { kind: "none" };
  if (url.origin === new URL(base).origin) return { kind: "here", href: url.href };
  return { kind: "away", href: url.href, host: url.host };
}
