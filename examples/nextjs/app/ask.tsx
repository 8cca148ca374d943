"use client";

interface Props {
  busy: boolean;
  ready?: boolean;
  ask(text: string): Promise<unknown>;
  stop(): Promise<unknown>;
}

export function Ask({ busy, ready = true, ask, stop }: Props) {
  // What fails is shown by the hook's own `error`.
  return (
    <form action={(form) => void ask(String(form.get("question"))).catch(() => {})}>
      <input name="question" aria-label="Question" autoComplete="off" required />
      <button disabled={!ready}>Send</button>
      <button type="button" disabled={!busy} onClick={() => void stop().catch(() => {})}>
        Stop
      </button>
    </form>
  );
}
