import { play } from "./play.mjs";

onmessage = async ({ data }) => postMessage(await play(...data));
