import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// Where `vite` finds the server while somebody works on these pages: npx vite, beside a `tokentape serve`.
const server = process.env.TOKENTAPE_URL ?? "http://127.0.0.1:8000";

export default defineConfig({
  plugins: [react()],
  // Relative: the server may be mounted under any path.
  base: "./",
  // The client is linked to its own folder, in which there is another React, for its tests.
  resolve: { dedupe: ["react"] },
  build: {
    outDir: "../src/tokentape/server/web",
    emptyOutDir: true,
    target: "es2022",
    // Everything is a file of our own: the pages forbid anything inline.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: { input: { index: "index.html", console: "console.html" } },
  },
  worker: { format: "es" },
  server: { proxy: { "^/(v1|healthz|readyz)": { target: server, ws: true } } },
});
