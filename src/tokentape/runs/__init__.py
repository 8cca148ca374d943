"""The life of a run: start, lease, stop, retry, end."""

from tokentape.runs.request import RunInfo, RunRequest, StopAfter
from tokentape.runs.service import Place, Runs, RunSettings

__all__ = ["Place", "RunInfo", "RunRequest", "RunSettings", "Runs", "StopAfter"]
