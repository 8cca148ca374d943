"""The simulated model over HTTP, as a stand-in for a provider: in OpenAI's and Anthropic's formats, with faults."""
