import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createClient } from "tokentape";
import { TokentapeProvider } from "tokentape/react";
import { Entrance } from "./entrance.tsx";
import "./style.css";

const client = createClient({ url: "/tape" });

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <TokentapeProvider client={client}>
      <Entrance room={location.hash.slice(1) || "lobby"} />
    </TokentapeProvider>
  </StrictMode>,
);
