/** One request in the words of three tools. Pure. What a chat's people wrote is in it, so everything is quoted. */

import type { RunRequest } from "tokentape";

export interface Asked {
  /** The server, with a slash at its end. */
  readonly base: string;
  readonly request: RunRequest;
  /** Whether the server wants a key. The key itself is never written down. */
  readonly hasKey: boolean;
}

export const SNIPPETS = [
  { name: "curl", language: "bash", write: curl },
  { name: "Python", language: "python", write: python },
  { name: "TypeScript", language: "typescript", write: typescript },
] as const;

function curl({ base, request, hasKey }: Asked): string {
  const key = hasKey ? ` \\\n  -H "Authorization: Bearer $TOKENTAPE_KEY"` : "";
  return `curl -sN ${shell(`${base}v1/runs`)}${key} \\
  -H 'Content-Type: application/json' \\
  -H 'Accept: text/event-stream' \\
  -d ${shell(JSON.stringify(request, undefined, 2))}

# Was it cut? Go on after the last id that came; the run's own id is in each event.
# curl -sN ${shell(`${base}v1/runs/RUN/events`)}${hasKey ? ' -H "Authorization: Bearer $TOKENTAPE_KEY"' : ""} -H 'Last-Event-ID: ID'
`;
}

function python({ base, request, hasKey }: Asked): string {
  return `import asyncio
${hasKey ? "import os\n" : ""}
from tokentape.client import Client

REQUEST = ${literal(request)}


async def main():
    async with Client(${literal(base)}${hasKey ? ', token=os.environ["TOKENTAPE_KEY"]' : ""}) as client:
        run = await client.start(REQUEST)
        # Comes back by itself after a cut, and goes on exactly where it was.
        async for item in client.watch(run.stream):
            if item.event.type == "token":
                print(item.event.data, end="", flush=True)


asyncio.run(main())
`;
}

function typescript({ base, request, hasKey }: Asked): string {
  return `import { createClient } from "tokentape";

const client = createClient({ url: ${JSON.stringify(base)}${hasKey ? ", token: process.env.TOKENTAPE_KEY ?? \"\"" : ""} });
const run = await client.run(${JSON.stringify(request, undefined, 2)});

// Comes back by itself after a cut, and goes on exactly where it was.
for await (const event of run) {
  if (event.type === "token") process.stdout.write(event.data);
}
client.close();
`;
}

/** One word to a POSIX shell, whatever is in it. */
function shell(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}

/** A value as Python writes it. */
function literal(value: unknown, indent = ""): string {
  const inner = `${indent}    `;
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") return JSON.stringify(value).replaceAll("\u007f", String.raw`\x7f`);
  if (Array.isArray(value)) return value.length === 0 ? "[]" : `[\n${value.map((each) => inner + literal(each, inner)).join(",\n")},\n${indent}]`;
  if (typeof value !== "object") return String(value);
  const lines = Object.entries(value).map(([name, each]) => `${inner}${JSON.stringify(name)}: ${literal(each, inner)},\n`);
  return lines.length === 0 ? "{}" : `{\n${lines.join("")}${indent}}`;
}
