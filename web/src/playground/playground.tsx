/** The playground: a chat, and beside it who else watches its answers. */

import { useState, useSyncExternalStore } from "react";
import { TokentapeProvider } from "tokentape/react";
import { currentChat } from "./address.ts";
import { Chat } from "./chat.tsx";
import { client } from "./client.ts";
import { Panes } from "./panes/index.tsx";
import { watchersShown } from "./view.ts";
import "./playground.css";

export function Playground() {
  const chat = useSyncExternalStore(currentChat.subscribe, currentChat.get);
  const [run, setRun] = useState<string>();
  const areWatchersShown = useSyncExternalStore(watchersShown.subscribe, watchersShown.get);
  return (
    <TokentapeProvider client={client}>
      <div className="play" data-run={run}>
        <Chat key={chat} chat={chat} onRun={setRun} />
        {areWatchersShown && (
          <div className="watchers" id="watchers">
            <Panes run={run} />
          </div>
        )}
      </div>
    </TokentapeProvider>
  );
}
