import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: "test/e2e/shared-server.ts",
    // One process for all: they are quick, and the machine is shared.
    fileParallelism: false,
    testTimeout: 30_000,
  },
});
