/** Puts one page on the screen: what every page has around it. */

import { StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { TokentapeProvider } from "tokentape/react";
import "../ui/theme.css";
import "../ui/controls.css";
import { client } from "./server.ts";
import { Shell } from "./shell.tsx";

export function start(page: "playground" | "console", content: ReactNode): void {
  createRoot(document.getElementById("root")!).render(
    <StrictMode>
      <TokentapeProvider client={client}>
        <Shell page={page}>{content}</Shell>
      </TokentapeProvider>
    </StrictMode>,
  );
}
