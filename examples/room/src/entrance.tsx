import { useState } from "react";
import { Room } from "./room.tsx";

/** Asks for a name, which is kept for this tab: a reload comes back as the same person. */
export function Entrance({ room }: { room: string }) {
  const [name, setName] = useState(() => sessionStorage.getItem("name") ?? "");
  if (name) return <Room name={room} me={name} />;

  const enter = (form: FormData) => {
    const given = String(form.get("name"));
    sessionStorage.setItem("name", given);
    setName(given);
  };
  return (
    <form action={enter}>
      <input name="name" aria-label="Your name" autoComplete="off" maxLength={40} required autoFocus />
      <button>Enter</button>
    </form>
  );
}
