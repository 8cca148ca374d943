import type { UIMessage } from "ai";
import { connection } from "next/server";
import { channelOf, said, tapeUrl } from "../../../lib/tape";
import { Chat } from "./chat";

export default async function Page({ params }: PageProps<"/ai-sdk/[chat]">) {
  await connection();
  const { chat } = await params;
  const { messages, running } = await said(chat);
  const past = messages.map(
    ({ id, first, role, content }): UIMessage => ({
      id: id ?? `${first}`,
      role: role as UIMessage["role"],
      parts: [{ type: "text", text: String(content) }],
    }),
  );
  return <Chat id={chat} url={tapeUrl()} channel={channelOf(chat)} past={past} running={running} />;
}
