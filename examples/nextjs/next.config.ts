import { join } from "node:path";
import type { NextConfig } from "next";

const config: NextConfig = {
  // Here `tokentape` is a link into this repository, beyond this folder. From the registry it needs no such line.
  turbopack: { root: join(import.meta.dirname, "../..") },
};

export default config;
