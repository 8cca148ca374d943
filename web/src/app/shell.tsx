/** The frame of every page: what it is, the other page, the connection, light or dark. */

import { Component, type ReactNode } from "react";
import { BASE } from "./server.ts";
import { Connection } from "./connection.tsx";
import { KeyDialog } from "./key-dialog.tsx";
import { ThemeButton } from "./theme-button.tsx";

const PAGES = [
  { name: "playground", label: "Playground", href: BASE },
  { name: "console", label: "Console", href: new URL("console", BASE).href },
] as const;

export function Shell({ page, children }: { page: (typeof PAGES)[number]["name"]; children: ReactNode }) {
  return (
    <>
      <a
        className="skip"
        href="#content"
        onClick={(event) => {
          // By hand: the fragment of the address says what is shown.
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        Skip to the content
      </a>
      <header className="top">
        <img src="./favicon.svg" alt="" width="26" height="26" />
        <strong>tokentape</strong>
        <nav aria-label="Pages">
          {PAGES.map(({ name, label, href }) => (
            <a key={name} href={href} aria-current={name === page ? "page" : undefined}>
              {label}
            </a>
          ))}
        </nav>
        <Connection />
        <ThemeButton />
      </header>
      <Boundary>
        <main id="content" tabIndex={-1}>
          {children}
        </main>
      </Boundary>
      <KeyDialog />
    </>
  );
}

/** A fault of ours is said, with the way out, instead of an empty page. */
class Boundary extends Component<{ children: ReactNode }, { error?: Error }> {
  override state: { error?: Error } = {};

  static getDerivedStateFromError(error: Error): { error: Error } {
    return { error };
  }

  override render(): ReactNode {
    if (!this.state.error) return this.props.children;
    return (
      <main id="content" tabIndex={-1}>
        <section className="card sorry" role="alert">
          <h1>This page has failed</h1>
          <p>
            <code>{this.state.error.message}</code>
          </p>
          <p>Nothing is lost: what was generated is on the server.</p>
          <button type="button" onClick={() => location.reload()}>
            Load it again
          </button>
        </section>
      </main>
    );
  }
}
