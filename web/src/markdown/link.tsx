import type { ReactNode } from "react";
import { BASE } from "../app/server.ts";
import { addressOf } from "./address.ts";

/** A link. One to another host is words, and a button that says which host it opens. */
export function Link({ href, children }: { href: string; children: ReactNode }) {
  const address = addressOf(href, BASE);
  if (address.kind === "none") return <span title="This link was taken out: it leads to no page.">{children}</span>;
  if (address.kind === "here") {
    return (
      <a href={address.href} target="_blank" rel="noopener noreferrer">
        {children}
      </a>
    );
  }
  return (
    <span className="away">
      {children} <Open href={address.href}>{address.host} ↗</Open>
    </span>
  );
}

/** An image is never loaded: asking for it would tell its host who reads this. */
export function Picture({ href, alt }: { href: string; alt: string }) {
  const address = addressOf(href, BASE);
  return (
    <span className="away">
      <span className="picture">Image: {alt || "without a description"}</span>{" "}
      {address.kind !== "none" && (
        <Open href={address.href}>{address.kind === "away" ? `${address.host} ↗` : "open ↗"}</Open>
      )}
    </span>
  );
}

function Open({ href, children }: { href: string; children: ReactNode }) {
  return (
    <button
      type="button"
      className="host"
      title={`Opens ${href} in a new tab`}
      onClick={() => window.open(href, "_blank", "noopener,noreferrer")}
    >
      {children}
    </button>
  );
}
