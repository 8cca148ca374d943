"""A crowd of watchers, which the admin API starts to see what a server does: `python -m tokentape.server.crowd`.

It is a process of its own, over real sockets, so that what it measures is what a client would see, and what it costs
is nobody else's loop. What comes is the same bytes for all, so each piece is parsed once for all who got it whole.

    server ── order, one line of JSON ─▶ stdin   crowd   stdout ── reports, a line each ─▶ server

The end of stdin is the end of the crowd, so a server that is killed leaves none behind.
"""
