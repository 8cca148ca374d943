import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [react()],
  // While `npm run dev` serves the page, the API is that of the application on its usual port.
  server: { proxy: { "/tape": { target: "http://127.0.0.1:8000", ws: true } } },
  // Here `tokentape` is a link into this repository, which has a React of its own. From the registry it needs no such line.
  resolve: { dedupe: ["react"] },
});
