"""The HTTP API, one file for each kind of thing; each gives its table of operations."""
