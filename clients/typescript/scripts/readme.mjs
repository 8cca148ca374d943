// Writes the examples of the README and of the guides to test/readme/, where the type checker looks at them as at any
// other code.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";

const guides = ["typescript", "react", "from-usechat"];
const pages = ["README.md", ...guides.map((name) => `../../docs/${name}.md`)];
await rm("test/readme", { recursive: true, force: true });
await mkdir("test/readme", { recursive: true });
for (const page of pages) {
  const examples = [...(await readFile(page, "utf8")).matchAll(/^```(tsx?)\n(.*?)^```$/gms)];
  if (examples.length === 0) throw new Error(`${page} has no examples`);
  for (const [place, [, kind, code]] of examples.entries()) {
    // Those after the first begin where it ends: with a client.
    const begun = /\bclient\./.test(code) && !code.includes("createClient(");
    const head = begun ? 'import { createClient } from "tokentape";\nconst client = createClient();\n' : "";
    await writeFile(`test/readme/${basename(page, ".md")}-${place + 1}.${kind}`, `${head}${code}\nexport {};\n`);
  }
}
