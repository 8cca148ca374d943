"""The live part of a process: one tail per stream, however many watchers; and the one way to write."""

from tokentape.hub.hub import Hub, HubLimits
from tokentape.hub.reader import Reader
from tokentape.hub.recorder import Writer
from tokentape.hub.view import Payload, View
from tokentape.hub.watcher import Outlet, Watcher

__all__ = ["Hub", "HubLimits", "Outlet", "Payload", "Reader", "View", "Watcher", "Writer"]
