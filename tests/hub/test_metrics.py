"""What the hub counts, whichever way events go, and what it leaves out."""

import pytest
from outlets import ManualOutlet

from tokentape.core.cursor import Cursor
from tokentape.core.errors import ShuttingDown
from tokentape.core.events import Event
from tokentape.dialects import native
from tokentape.hub import Hub, View
from tokentape.stores.base import Append, StreamConfig


async def record(hub: Hub, stream: str, *texts: str) -> None:
    await hub.append(Append(stream=stream), [Event(type="token", run="r_1", data=text) for text in texts])


async def watch(hub: Hub, stream: str, start="start", *, direct: bool = False) -> ManualOutlet:
    outlet = ManualOutlet(direct=direct)
    (await hub.attach(stream, start, View(native.sse, stream), outlet)).start()
    return outlet


@pytest.mark.parametrize("direct", [False, True], ids=["written", "sent"])
async def test_live_and_late_events_count_alike(hub: Hub, direct) -> None:
    await hub.store.create("s", StreamConfig())
    await record(hub, "s", *"abc")
    outlets = [await watch(hub, "s", direct=direct) for _ in range(3)]  # what was before comes as one event
    await record(hub, "s", "d")
    for outlet in outlets:
        await outlet.until(lambda outlet=outlet: len(outlet.payloads) == 2)
    metrics = hub.metrics
    assert (metrics.events, metrics.delivered) == (4, 12)
    assert metrics.bytes_out == sum(payload.size for outlet in outlets for payload in outlet.payloads)
    assert metrics.delivery.count >= 1
    assert 0 < metrics.delivery.total < 10
    assert metrics.outcomes == {"replayed": 3, "snapshot": 0, "live": 0, "gone": 0}


async def test_the_servers_own_streams_do_not_count(hub: Hub) -> None:
    await hub.store.create("$own", StreamConfig())
    outlet = await watch(hub, "$own")
    await record(hub, "$own", "a")
    await outlet.until(lambda: outlet.payloads)
    metrics = hub.metrics
    assert (metrics.events, metrics.delivered, metrics.bytes_out, sum(metrics.outcomes.values())) == (0, 0, 0, 0)


async def test_who_comes_back_and_who_is_cut(hub: Hub) -> None:
    await hub.store.create("s", StreamConfig())
    await record(hub, "s", *"ab")
    epoch = (await hub.store.info("s")).epoch
    left = await watch(hub, "s", Cursor(epoch, 1))
    lost = await watch(hub, "s", Cursor(epoch, 2))
    sent_away = await watch(hub, "s", "now")
    assert hub.metrics.reconnects == 2
    left.watcher.leave()
    assert hub.metrics.aborted == 0
    lost.watcher.lost()
    lost.watcher.lost()
    sent_away.watcher.shut_down(ShuttingDown("Come back."))
    assert hub.metrics.aborted == 2
