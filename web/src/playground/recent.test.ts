import { afterEach, beforeEach, expect, it, vi } from "vitest";

let kept: string | null;

beforeEach(() => {
  kept = null;
  vi.resetModules();
  vi.stubGlobal("addEventListener", () => {});
  vi.stubGlobal("localStorage", { getItem: () => kept, setItem: (_: string, value: string) => void (kept = value) });
});
afterEach(() => void vi.unstubAllGlobals());

const fresh = () => import("./recent.ts");

it.each(["", "{", "7", "{}", "[null, 7, {}]"])("makes nothing of %s", async (rubbish) => {
  kept = rubbish;
  expect((await fresh()).recent.get()).toEqual([]);
});

it("leaves out what would fail the page", async () => {
  const good = { chat: "chats/a", title: "A", at: 1 };
  kept = JSON.stringify([{ ...good, at: 1e300 }, { ...good, chat: "\ud800" }, good, { ...good, title: "Again" }]);
  const { recent } = await fresh();
  expect(recent.get()).toEqual([good]);
});

it("has the newest first, under their first words", async () => {
  const { recent, remember, forget } = await fresh();
  remember("chats/a", "One\ntwo");
  remember("chats/b", "Other");
  remember("chats/a", "Three");
  expect(recent.get().map(({ title }) => title)).toEqual(["One", "Other"]);
  forget("chats/a");
  expect(JSON.parse(kept!)).toEqual(recent.get());
});

it("is kept for the tab where there is no storage", async () => {
  vi.stubGlobal("localStorage", undefined);
  const { recent, remember } = await fresh();
  remember("chats/a", "One");
  expect(recent.get()).toHaveLength(1);
});
