// Writes the examples of the README to test/readme/, where the type checker looks at them as at any other code.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";

const text = await readFile("README.md", "utf8");
const examples = [...text.matchAll(/^```(tsx?)\n(.*?)^```$/gms)];
if (examples.length === 0) throw new Error("README.md has no examples");
await rm("test/readme", { recursive: true, force: true });
await mkdir("test/readme", { recursive: true });
for (const [place, [, kind, code]] of examples.entries()) {
  // Those after the first begin where it ends: with a client.
  const head = code.includes("createClient(") ? "" : 'import { createClient } from "tokentape";\nconst client = createClient();\n';
  await writeFile(`test/readme/example-${place + 1}.${kind}`, `${head}${code}\nexport {};\n`);
}
