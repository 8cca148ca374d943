import Link from "next/link";
import { connection } from "next/server";

export default async function Home() {
  await connection(); // a chat of its own for each visit
  const chat = crypto.randomUUID();
  return (
    <>
      <h1>One chat, two hooks</h1>
      <p>Open both: they show the same conversation, whichever of them you ask.</p>
      <ul>
        <li>
          <Link href={`/ours/${chat}`}>useChat of tokentape/react</Link>
        </li>
        <li>
          <Link href={`/ai-sdk/${chat}`}>useChat of @ai-sdk/react</Link>
        </li>
      </ul>
    </>
  );
}
