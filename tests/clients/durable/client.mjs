// The protocol's own client against a server, one check after the other; each prints one JSON line.
// Arguments: the server's address, and that of a proxy which cuts connections. Once it says "closed" it is told, as a
// JSON line, the name of a run that has just begun.
import { createInterface } from "node:readline"
import { DurableStream, IdempotentProducer, stream } from "@durable-streams/client"

const [server, proxy] = process.argv.slice(2)
const at = (name, base = server) => `${base}/v1/stream/${name}`
const say = (check, found) => console.log(JSON.stringify({ check, ...found }))
const made = (name, contentType) => DurableStream.create({ url: at(name), contentType })

// Writes and reads
const chat = await made("js/chat", "application/json")
for (const n of [1, 2, 3]) await chat.append(JSON.stringify({ n }))
const first = await (await chat.stream({ live: false })).json()
const text = await made("js/text", "text/plain")
await text.append(" one\ntwo ")
await text.append("ünï\n\n")
say("write and read", { json: first, text: await (await text.stream({ live: false })).text() })

// What comes live, by each mode, up to the end of the stream
for (const live of ["long-poll", "sse"]) {
  const room = await made(`js/live-${live}`, "application/json")
  await room.append(JSON.stringify("before"))
  const items = []
  const response = await room.stream({ live, offset: "-1" })
  for await (const item of response.jsonStream()) {
    items.push(item)
    if (item === "before") void room.append(JSON.stringify("during"))
    if (item === "during") void room.close({ body: JSON.stringify("last") })
  }
  say(`live by ${live}`, { items, closed: response.streamClosed })
}

// Text and bytes over SSE
const pieces = { "text/plain": [" a\n", "\n b"], "application/octet-stream": [new Uint8Array([0, 255, 10]), new Uint8Array([13])] }
for (const [kind, parts] of Object.entries(pieces)) {
  const whole = await made(`js/pieces-${kind.split("/")[0]}`, kind)
  const response = await whole.stream({ live: "sse", offset: "-1" })
  for (const part of parts) await whole.append(part)
  await whole.close()
  const bytes = []
  for await (const chunk of response.bodyStream()) bytes.push(...chunk)
  say(`pieces of ${kind}`, { bytes })
}

// An idempotent producer with many batches under way, over connections that are cut: nothing is lost or written twice
const log = await made("js/log", "application/json")
const errors = []
const producer = new IdempotentProducer(new DurableStream({ url: at("js/log", proxy), contentType: "application/json" }), "writer", {
  lingerMs: 0, maxBatchBytes: 400, onError: (error) => errors.push(String(error)),
})
for (let n = 0; n < 300; n++) producer.append(JSON.stringify(n))
await producer.flush()
await producer.detach()
const successor = new IdempotentProducer(log, "writer", { epoch: 1 })
successor.append(JSON.stringify("successor"))
await successor.flush()
let zombie = null
const old = new IdempotentProducer(log, "writer", { epoch: 0, onError: (error) => { zombie = error.constructor.name } })
old.append(JSON.stringify("zombie"))
await old.flush().catch(() => undefined)
const written = await (await log.stream({ live: false })).json()
say("idempotent producer", { written, errors, zombie })

// A closed stream
await log.close()
const refused = await log.append(JSON.stringify("late")).then(() => null, (error) => ({ name: error.constructor.name, status: error.status }))
say("closed", { closed: (await log.head()).streamClosed, refused })

// A run, as the server's own events, over connections that are cut in mid-stream: on from the last offset
const { value: told } = await createInterface({ input: process.stdin })[Symbol.asyncIterator]().next()
const { run } = JSON.parse(told)
const tokens = []
const ends = { error: 0, quiet: 0 }
let offset = "-1"
let over = false
while (!over) {
  let place = offset
  try {
    const response = await stream({ url: at(`runs/${run}`, proxy), offset, live: "sse" })
    await new Promise((resolve, reject) => {
      response.closed.then(resolve, reject)
      // A reset in the wrong moment leaves a session of this client that neither goes on nor ends.
      let silent = setTimeout(resolve, 8000)
      response.subscribeJson((batch) => {
        // `closed` may come before the last batch, which is then as good as that of the next session.
        if (place !== offset) return
        for (const event of batch.items) {
          if (event.type === "token") tokens.push(event.data)
          over ||= event.type === "done"
        }
        place = offset = batch.offset
        clearTimeout(silent)
        silent = setTimeout(resolve, 8000)
        if (over) resolve()
      })
    })
    ends.quiet++
  } catch (error) {
    if (++ends.error > 1000) throw error
  }
}
const denied = await new DurableStream({ url: at(`runs/${run}`), contentType: "application/json" })
  .append("{}").then(() => null, (error) => ({ status: error.status, text: String(error) }))
say("a run", { text: tokens.join(""), ends, denied })
