// Reads a run as a Durable Stream, live, up to its end, and prints its text as a JSON line.
// Arguments: the server's address, the run.
import { stream } from "@durable-streams/client"

const [server, run] = process.argv.slice(2)
const response = await stream({ url: `${server}/v1/stream/runs/${run}`, offset: "-1", live: "sse" })
let text = ""
for await (const event of response.jsonStream()) {
  if (event.type === "token") text += event.data
  if (event.type === "done") break
}
console.log(JSON.stringify({ text }))
process.exit()
