// Fails when a part of the package is larger, minified and compressed, than package.json allows (`sizes`, in bytes).
//
// An entry is measured as an application takes it, with everything that it imports: all that is downloaded before it can
// begin. What is loaded later, by import(), is listed for itself, with what it imports beyond that. No part may be
// without a budget.

import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const { sizes } = JSON.parse(await readFile("package.json", "utf8"));
const found = new Map();

/** What an application imports of an entry; everything, when nothing is said. */
const IMPORTED = { "dist/index.js": "createClient" };

for (const input of Object.keys(sizes).filter((path) => /^dist\/(\w+\/)?index\.js$/.test(path))) {
  // What the application has anyway is not counted, nor the client itself with the entries beside it.
  const external = (id, importer) => id === "react" || (id.startsWith("../") && importer !== undefined);
  const application = IMPORTED[input]
    ? `import { ${IMPORTED[input]} } from "./${input}"; globalThis.application = ${IMPORTED[input]};`
    : `export * from "./${input}";`;
  const entry = { name: "application", resolveId: (id) => (id === "application.js" ? resolve(id) : null), load: (id) => (id === resolve("application.js") ? application : null) };
  const bundle = await rolldown({ input: "application.js", external, plugins: [entry], logLevel: "silent", preserveEntrySignatures: "allow-extension" });
  const { output } = await bundle.generate({ format: "esm", minify: true, chunkFileNames: "[name].js" });
  const chunks = new Map(output.map((chunk) => [chunk.fileName, chunk]));
  const withImports = (name) => [name, ...(chunks.get(name)?.imports.flatMap(withImports) ?? [])];
  const first = new Set(withImports(output.find(({ isEntry }) => isEntry).fileName));
  for (const { fileName, isEntry, isDynamicEntry } of output) {
    if (!isEntry && !isDynamicEntry) continue;
    const parts = isEntry ? first : new Set(withImports(fileName).filter((name) => !first.has(name)));
    const codes = [...parts].flatMap((name) => chunks.get(name)?.code ?? []);
    const size = codes.reduce((sum, code) => sum + gzipSync(code, { level: 9 }).length, 0);
    found.set(isEntry ? input : `dist/${fileName}`, { size, raw: codes.join("").length });
  }
}

for (const [part, { size, raw }] of found) {
  const limit = sizes[part] ?? 0;
  console.log(`${part}: ${size} of ${limit} bytes, min + gzip (${raw} before gzip)`);
  if (size > limit) process.exitCode = 1;
}
for (const part of Object.keys(sizes)) {
  if (!found.has(part)) throw new Error(`There is no part ${part}, for which package.json has a size.`);
}
