"""The life of a run, on however many processes: start, queue, lease, retry, stop, restart, end.

| Module | Job |
|---|---|
| service | what callers ask for: `Runs` |
| request | what a caller asks for, and is told |
| registry, index | the record of all runs, followed by each process |
| executor, runner | the runs that this process executes; one of them |
| custody | its leases |
| taking | runs that nobody executes: what becomes of them |
| jobs, worker, orders | the queue, who takes from it, and what was asked for meanwhile |
| positions | what watchers of a run that waits are told |
| audience | what happens when nobody watches |
"""

from tokentape.runs.request import RunInfo, RunRequest, StopAfter
from tokentape.runs.service import Place, Runs, RunSettings

__all__ = ["Place", "RunInfo", "RunRequest", "RunSettings", "Runs", "StopAfter"]
