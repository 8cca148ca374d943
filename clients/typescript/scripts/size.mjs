// Fails when an entry of the package is larger, minified and compressed, than package.json allows (`sizes`, in bytes).

import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { rolldown } from "rolldown";

const { sizes } = JSON.parse(await readFile("package.json", "utf8"));
for (const [input, limit] of Object.entries(sizes)) {
  // What the application has anyway is not counted, nor the client itself with the entries beside it.
  const bundle = await rolldown({ input, logLevel: "silent", external: (id, importer) => id === "react" || (id.startsWith("../") && importer !== undefined) });
  const { output } = await bundle.generate({ format: "esm", minify: true });
  const size = gzipSync(output[0].code, { level: 9 }).length;
  console.log(`${input}: ${size} of ${limit} bytes, min + gzip (${output[0].code.length} before gzip)`);
  if (size > limit) process.exitCode = 1;
}
