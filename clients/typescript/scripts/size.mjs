// Fails when an entry of the package is larger, minified and compressed, than package.json allows (`sizes`, in bytes).

import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const { sizes } = JSON.parse(await readFile("package.json", "utf8"));
for (const [entry, limit] of Object.entries(sizes)) {
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    // What the application has anyway, and the client itself for the entries beside it.
    external: ["react", "tokentape"],
    write: false,
  });
  const size = gzipSync(outputFiles[0].contents, { level: 9 }).length;
  console.log(`${entry}: ${size} of ${limit} bytes, min + gzip (${outputFiles[0].contents.length} before gzip)`);
  if (size > limit) process.exitCode = 1;
}
