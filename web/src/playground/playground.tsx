import { useState } from "react";
import { client } from "../app/server.ts";
import { Panes } from "./panes/index.tsx";

/** Only until the playground is there. */
export function Playground() {
  const [run, setRun] = useState<string | undefined>(() => location.hash.slice(1) || undefined);
  const start = async (): Promise<void> => {
    const query = new URLSearchParams(location.search);
    const simulated = { rate: Number(query.get("rate") ?? 40), tokens: Number(query.get("tokens") ?? 400) };
    const { id } = await client.run({ messages: [{ role: "user", content: "Say something long." }], simulated } as never);
    setRun(id);
  };
  return (
    <>
      <button type="button" className="primary" onClick={() => void start()}>
        Start
      </button>
      <Panes run={run} />
    </>
  );
}
