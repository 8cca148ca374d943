import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createClient } from "tokentape";
import { TokentapeProvider } from "tokentape/react";
import { Chat } from "./chat.tsx";
import "./style.css";

const client = createClient({ url: "/tape" });

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <TokentapeProvider client={client}>
      <Chat channel={`chats/${chatOfThisPage()}`} />
    </TokentapeProvider>
  </StrictMode>,
);

/** The address says which chat it is: a reload shows the same one, and a link to it can be shared. */
function chatOfThisPage(): string {
  if (!location.hash) history.replaceState(null, "", `#${crypto.getRandomValues(new Uint32Array(2)).join("-")}`);
  return location.hash.slice(1);
}
