"use server";
import { record } from "../../../lib/tape";

export async function remember(chat: string, id: string, text: string): Promise<void> {
  await record(chat, id, text);
}
