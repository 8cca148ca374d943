// Reads a run as a Durable Stream, live, up to its end, and prints its text and its events as JSON lines: the text is
// told once when it begins, and with the events at the end.
// Arguments: the server's address, the run.
import { stream } from "@durable-streams/client"

const [server, run] = process.argv.slice(2)
const response = await stream({ url: `${server}/v1/stream/runs/${run}`, offset: "-1", live: "sse" })
let text = ""
const events = []
for await (const event of response.jsonStream()) {
  if (event.type === "token" && !text) console.log(JSON.stringify({ begun: true }))
  if (event.type === "token") text += event.data
  events.push([event.type, event.data])
  if (event.type === "done") break
}
console.log(JSON.stringify({ text, events }))
process.exit()
