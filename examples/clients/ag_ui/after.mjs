// The same agent through tokentape: a cut connection goes on where it was, and nothing is generated twice.
import { HttpAgent } from "@ag-ui/client";

const agent = new HttpAgent({ url: process.env.TOKENTAPE_URL + "/ag-ui", threadId: "support-42" });
agent.addMessage({ id: "question-1", role: "user", content: "Why is the sky blue?" });

process.on("unhandledRejection", console.warn); // Node.js only: after a cut the client (1.0.0) leaves one behind
const ask = () => agent.runAgent({ runId: "answer-1" }); // the same name is the same run, whoever asks
await ask().catch(ask);
console.log(agent.messages.at(-1).content);
