// The `openai` package for Node.js, unmodified. Each line on stdin names what to do, and is answered by one line.
import { createInterface } from "node:readline"
import OpenAI from "openai"

const ask = { model: "scripted", messages: [{ role: "user", content: "Hello" }] }
const askResponse = { model: "scripted", input: "Hello" }
const look = {
  name: "look",
  description: "Looks",
  parameters: { type: "object", properties: { at: { type: "string" } } },
}

const clientOf = (url, options = {}) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", ...options })

/** The chunks of a run, from its start or a cursor: there is no method for it, so by the SDK's own way. */
const reattach = (client, id, query = {}) => client.get(`/chat/completions/${id}/stream`, { query, stream: true })

async function readChunks(stream, seen) {
  for await (const chunk of stream) {
    seen.id = chunk.id
    seen.reason = chunk.choices[0]?.finish_reason ?? seen.reason
    seen.text = (seen.text ?? "") + (chunk.choices[0]?.delta.content ?? "")
    if (chunk.usage) seen.usage = chunk.usage
    await seen.onChunk?.(seen)
  }
}

async function readEvents(stream, seen) {
  seen.types ??= []
  seen.numbers ??= []
  for await (const event of stream) {
    seen.types.push(event.type)
    seen.numbers.push(event.sequence_number)
    if (event.type === "response.output_text.delta") seen.text = (seen.text ?? "") + event.delta
    if (event.response) {
      seen.id = event.response.id
      seen.status = event.response.status
    }
    await seen.onEvent?.(seen)
  }
}

/** What was seen, with the error that ended it. */
async function until(reading, seen) {
  try {
    await reading(seen)
  } catch (error) {
    seen.error = nameOf(error)
    seen.message = error.message
    seen.code = error.code
  }
  delete seen.onChunk
  delete seen.onEvent
  return seen
}

const nameOf = (error) =>
  ["NotFoundError", "BadRequestError", "InternalServerError", "APIConnectionError", "APIError"].find(
    (name) => error instanceof OpenAI[name],
  ) ?? `not an error of the SDK: ${error.constructor.name}`

const scenes = {
  async chat({ url }) {
    const client = clientOf(url)
    const seen = {}
    await readChunks(
      await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } }),
      seen,
    )
    return seen
  },

  async chatHelper({ url }) {
    const runner = clientOf(url).chat.completions.stream(ask)
    return { text: await runner.finalContent() }
  },

  async chatWhole({ url }) {
    const client = clientOf(url)
    const made = await client.chat.completions.create(ask)
    const again = {}
    await readChunks(await reattach(client, made.id), again)
    return { id: made.id, text: made.choices[0].message.content, again: again.text, requestId: made._request_id }
  },

  /** The SDK runs the tool, and asks again with what it gave back. */
  async chatRunTools({ url, stream }) {
    const places = []
    const tool = {
      type: "function",
      function: { ...look, parse: JSON.parse, function: ({ at }) => (places.push(at), `rain in ${at}`) },
    }
    const runner = clientOf(url).chat.completions.runTools({ ...ask, stream, tools: [tool] })
    return { text: await runner.finalContent(), places, roles: runner.messages.map((message) => message.role) }
  },

  async chatError({ url }) {
    const client = clientOf(url)
    return until(async (seen) => readChunks(await client.chat.completions.create({ ...ask, stream: true }), seen), {})
  },

  async chatWholeError({ url }) {
    return until(async () => clientOf(url).chat.completions.create(ask), {})
  },

  async chatStop({ url }) {
    const client = clientOf(url)
    const stopped = []
    const onChunk = async ({ id, text, reason }) => {
      if (!text || reason) return
      for (let times = 0; times < 2; times++) {
        const made = await client.post(`/chat/completions/${id}/stop`)
        stopped.push(made.choices[0].message.content)
      }
    }
    const seen = await until(
      async (seen) => readChunks(await client.chat.completions.create({ ...ask, stream: true }), seen),
      { onChunk },
    )
    return { ...seen, stopped }
  },

  /** Over a connection that is closed in mid-answer. */
  async chatCut({ url }) {
    const client = clientOf(url)
    return until(async (seen) => readChunks(await client.chat.completions.create({ ...ask, stream: true }), seen), {})
  },

  async chatAgain({ url, id, from }) {
    return until(async (seen) => readChunks(await reattach(clientOf(url), id, from ? { from } : {}), seen), {})
  },

  async respond({ url }) {
    return until(
      async (seen) => readEvents(await clientOf(url).responses.create({ ...askResponse, stream: true }), seen),
      {},
    )
  },

  async respondHelper({ url }) {
    const client = clientOf(url)
    const tools = [{ type: "function", ...look }]
    const made = await client.responses.stream({ ...askResponse, tools }).finalResponse()
    const known = await client.responses.retrieve(made.id)
    const items = (await client.responses.inputItems.list(made.id)).data
    return { id: made.id, text: made.output_text, known: known.output_text, output: known.output, items }
  },

  async respondWhole({ url, previous }) {
    const made = await clientOf(url).responses.create({ ...askResponse, previous_response_id: previous })
    return { id: made.id, text: made.output_text, status: made.status }
  },

  /** In the background, then read by the helper, which starts at the beginning. */
  async respondBackground({ url }) {
    const client = clientOf(url)
    const begun = await client.responses.create({ ...askResponse, background: true })
    const runner = client.responses.stream({ response_id: begun.id, starting_after: 2 })
    const numbers = []
    runner.on("event", (event) => numbers.push(event.sequence_number))
    return { text: (await runner.finalResponse()).output_text, first: numbers[0] }
  },

  async respondHelperError({ url }) {
    return until(async () => clientOf(url).responses.stream(askResponse).finalResponse(), {})
  },

  async respondCancel({ url }) {
    const client = clientOf(url)
    const cancelled = []
    const onEvent = async ({ id, types }) => {
      if (types.at(-1) !== "response.output_text.delta") return
      for (let times = 0; times < 2; times++) cancelled.push((await client.responses.cancel(id)).status)
    }
    const stream = await client.responses.create({ ...askResponse, background: true, stream: true })
    return { ...(await until((seen) => readEvents(stream, seen), { onEvent })), cancelled }
  },

  async respondAfter({ url, id, after }) {
    const stream = await clientOf(url).responses.retrieve(id, { stream: true, starting_after: after })
    return until((seen) => readEvents(stream, seen), {})
  },

  async respondDelete({ url, id }) {
    const client = clientOf(url)
    await client.responses.delete(id)
    return until(async () => client.responses.retrieve(id), {})
  },

  /** The SDK gives up waiting, and asks again by itself. */
  async impatient({ url }) {
    const client = clientOf(url, { timeout: 500, maxRetries: 4 })
    return { text: (await client.chat.completions.create(ask)).choices[0].message.content }
  },

  async models({ url }) {
    const client = clientOf(url)
    const listed = []
    for await (const model of client.models.list()) listed.push(model.id)
    const unknown = await until(async () => client.models.retrieve("unknown"), {})
    return { listed, one: (await client.models.retrieve(listed[0])).id, unknown: unknown.error }
  },
}

for await (const line of createInterface({ input: process.stdin })) {
  const { scene, ...given } = JSON.parse(line)
  console.log(JSON.stringify(await scenes[scene](given)))
}
