// The protocol's own suite, against the server at TOKENTAPE_URL. What it is told of the server's long-poll is only how
// long its tests may take: more than that takes, for machines that are busy.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({ baseUrl: process.env.TOKENTAPE_URL, longPollTimeoutMs: 20_000 })
