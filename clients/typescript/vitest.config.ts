import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // One process for all: they are quick, and the machine is shared.
    fileParallelism: false,
    testTimeout: 30_000,
  },
});
