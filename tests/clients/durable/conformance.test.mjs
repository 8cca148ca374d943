// The protocol's own suite, against the server at TOKENTAPE_URL; its long-poll has to be no longer than this.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"

runConformanceTests({ baseUrl: process.env.TOKENTAPE_URL, longPollTimeoutMs: 500 })
