// Streams an answer of OpenAI's. When the connection breaks, what was not read yet is lost, though it is paid for.
import OpenAI from "openai"

const client = new OpenAI()
const messages = [{ role: "user", content: process.argv[2] }]

async function show(stream) {
  for await (const chunk of stream) {
    process.stdout.write(chunk.choices[0]?.delta.content ?? "")
  }
}

await show(await client.chat.completions.create({ model: "gpt-4o-mini", messages, stream: true }))
console.log()
