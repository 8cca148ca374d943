import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const proxy = { "/tape": { target: "http://127.0.0.1:8000", ws: true, rewrite: (path: string) => path.slice("/tape".length) } };

export default defineConfig({
  plugins: [react()],
  base: "./",
  // The page asks for `/tape` where it comes from; here that is `tokentape serve`.
  server: { proxy },
  preview: { proxy },
  // Here `tokentape` is a link into this repository, which has a React of its own. From the registry it needs no such line.
  resolve: { dedupe: ["react"] },
});
