// Fails when a part of the package is larger, minified and compressed, than package.json allows (`sizes`, in bytes).
//
// An entry is measured with everything that it imports: all that an application downloads before it can begin. What is
// loaded later, by import(), is listed for itself, with what it imports beyond that. No part may be without a budget.

import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const { sizes } = JSON.parse(await readFile("package.json", "utf8"));
const found = new Map();

for (const input of Object.keys(sizes).filter((path) => /^dist\/(\w+\/)?index\.js$/.test(path))) {
  // What the application has anyway is not counted, nor the client itself with the entries beside it.
  const external = (id, importer) => id === "react" || (id.startsWith("../") && importer !== undefined);
  const bundle = await rolldown({ input, external, logLevel: "silent", preserveEntrySignatures: "allow-extension" });
  const { output } = await bundle.generate({ format: "esm", minify: true, chunkFileNames: "[name].js" });
  const chunks = new Map(output.map((chunk) => [chunk.fileName, chunk]));
  const withImports = (name) => [name, ...(chunks.get(name)?.imports.flatMap(withImports) ?? [])];
  const entry = output.find(({ isEntry }) => isEntry).fileName;
  const first = new Set(withImports(entry));
  for (const { fileName, isEntry, isDynamicEntry } of output) {
    if (!isEntry && !isDynamicEntry) continue;
    const parts = isEntry ? first : new Set(withImports(fileName)).difference(first);
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
