// An AG-UI agent against a back end of one's own.
import { HttpAgent } from "@ag-ui/client";

const agent = new HttpAgent({ url: process.env.APP_URL + "/agent", threadId: "support-42" });
agent.addMessage({ id: "question-1", role: "user", content: "Why is the sky blue?" });

await agent.runAgent();
console.log(agent.messages.at(-1).content);
