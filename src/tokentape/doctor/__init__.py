"""`tokentape doctor`: what stands in the way of a deployment, found by looking and by trying.

| Module | Job |
|---|---|
| setup | the configuration, and who could get in |
| machine | what this machine allows: descriptors, connections, the event loop |
| storage | whether the store can be reached, and is fit for it |
| probe | opens streams through a public address, sends ticks through them, and notes what comes when |
| verdict | what those notes mean (pure) |
| between | who stands between, and what their settings are called (pure) |
"""

from tokentape.doctor.machine import examine_machine
from tokentape.doctor.probe import Trial, probe
from tokentape.doctor.setup import examine_setup
from tokentape.doctor.storage import examine_store
from tokentape.doctor.verdict import judge

__all__ = ["Trial", "examine_machine", "examine_setup", "examine_store", "judge", "probe"]
