/** The playground: a chat, and beside it who else watches its answers. */

import { useState, useSyncExternalStore } from "react";
import { TokentapeProvider } from "tokentape/react";
import { currentChat } from "./address.ts";
import { Chat } from "./chat.tsx";
import { client } from "./client.ts";
import { Panes } from "./panes/index.tsx";
import "./playground.css";

export function Playground() {
  const chat = useSyncExternalStore(currentChat.subscribe, currentChat.get);
  const [run, setRun] = useState<string>();
  return (
    <TokentapeProvider client={client}>
      <div className="play" data-run={run}>
        <Chat key={chat} chat={chat} onRun={setRun} />
        <div className="watchers">
          <Panes run={run} />
        </div>
      </div>
    </TokentapeProvider>
  );
}
