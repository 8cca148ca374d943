/** The package as it is published: packed, unpacked somewhere else, and used from there. */

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";

const PACKAGE = new URL("..", import.meta.url);

test("what is packed is what is needed, and works where it is installed", () => {
  const folder = mkdtempSync(join(tmpdir(), "tokentape-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const pack = ["pack", "--json", "--silent", "--ignore-scripts", "--pack-destination", folder];
  const told = execFileSync("npm", pack, { cwd: PACKAGE, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  // Some versions of npm name the packages.
  const [packed] = Object.values(JSON.parse(told) as Record<string, { filename: string; files: { path: string }[] }>);
  const files = packed!.files.map(({ path }) => path);
  expect(files).toEqual(expect.arrayContaining(["LICENSE", "README.md", "package.json", "dist/index.js", "dist/index.d.ts", "dist/react/index.js"]));
  expect(files.filter((path) => !/^(LICENSE|README\.md|package\.json|dist\/.+\.(js|d\.ts))$/.test(path))).toEqual([]);

  const home = join(folder, "node_modules", "tokentape");
  mkdirSync(home, { recursive: true });
  execFileSync("tar", ["-xzf", join(folder, packed!.filename), "-C", home, "--strip-components=1"]);
  const program = join(folder, "program.mjs");
  writeFileSync(program, 'import { createClient, TokentapeError } from "tokentape";\nconsole.log(typeof createClient().run, TokentapeError.name);\n');
  // Nothing else is installed there: it has no dependencies.
  expect(execFileSync(process.execPath, [program], { encoding: "utf8" })).toBe("function TokentapeError\n");
});
