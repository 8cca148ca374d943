import { connection } from "next/server";
import { channelOf, tapeUrl } from "../../../lib/tape";
import { Chat } from "./chat";
import { Tape } from "./tape";

export default async function Page({ params }: PageProps<"/ours/[chat]">) {
  await connection();
  const { chat } = await params;
  return (
    <Tape url={tapeUrl()}>
      <Chat channel={channelOf(chat)} />
    </Tape>
  );
}
