// Streams an answer through tokentape. When the connection breaks, it is read again, and goes on where it was.
import OpenAI from "openai"

const client = new OpenAI({ baseURL: process.env.TAPE_URL ?? "http://127.0.0.1:8000/v1" })
const messages = [{ role: "user", content: process.argv[2] }]
let [id, shown] = ["", 0]

async function show(stream) {
  let told = 0
  for await (const chunk of stream) {
    id = chunk.id
    const text = chunk.choices[0]?.delta.content ?? ""
    process.stdout.write(text.slice(Math.max(0, shown - told)))
    shown = Math.max(shown, (told += text.length))
  }
}

const again = () => client.get(`/chat/completions/${id}/stream`, { stream: true }).then(show)
await show(await client.chat.completions.create({ model: "gpt-4o-mini", messages, stream: true })).catch(again)
console.log()
