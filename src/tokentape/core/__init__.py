"""The sans-I/O core: bytes and events in, bytes and actions out; no clock, no sockets, no randomness."""
