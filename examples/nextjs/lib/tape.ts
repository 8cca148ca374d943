import "server-only";
import { createClient, type Message } from "tokentape";

/** Read when a page is asked for, not when it is built: one build for every environment. */
export const tapeUrl = (): string => process.env.TOKENTAPE_URL ?? "http://127.0.0.1:8000";

/** A chat is a channel of the tape, whichever hook shows it. */
export const channelOf = (chat: string): string => `chats/${chat}`;

/** What has been said in a chat; an answer that is still being given is left out, and named. */
export async function said(chat: string): Promise<{ messages: readonly Message[]; running: string | undefined }> {
  const { items } = await tape().channel(channelOf(chat)).messages({ limit: 200 });
  const isRunning = ({ state }: Message) => state === "running";
  return { messages: items.filter((message) => !isRunning(message)).reverse(), running: items.find(isRunning)?.run };
}

/** Records what the user says. Sent twice, it is recorded once. */
export async function record(chat: string, id: string, content: string): Promise<void> {
  await tape().channel(channelOf(chat)).emit("message", { id, role: "user", content }, { id });
}

const tape = () => createClient({ url: tapeUrl(), transport: "sse" });
