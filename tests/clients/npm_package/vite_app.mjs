// Builds the application in a folder, and serves it with the server at an address behind it, until it is ended.

import process from "node:process";
import { build, preview } from "vite";

const [root, target] = process.argv.slice(2);
const config = { root, configFile: false, logLevel: "error" };
await build(config);
const server = await preview({ ...config, preview: { port: 0, host: "127.0.0.1", proxy: { "/v1": { target, ws: true } } } });
console.log(JSON.stringify({ url: server.resolvedUrls.local[0] }));
