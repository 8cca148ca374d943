"""The server itself."""

from http_rig import running_server

from tokentape.core.errors import StoreUnavailable
from tokentape.stores.memory import MemoryStore


class Failing(MemoryStore):
    failing = False

    async def info(self, name):
        if self.failing:
            raise StoreUnavailable("The disk is gone.")
        return await super().info(name)


async def test_health_and_readiness():
    store = Failing()
    async with running_server(store=store) as rig:
        assert (await rig.ask("GET", "/healthz")).json == {"status": "ok"}
        assert (await rig.ask("GET", "/readyz")).json == {"status": "ready", "instances": 1, "agree": True}
        store.failing = True
        assert (await rig.ask("GET", "/healthz")).status == 200
        reply = await rig.ask("GET", "/readyz")
        assert (reply.status, reply.json["code"]) == (503, "store_unavailable")
        assert int(reply.headers["retry-after"]) >= 1
        store.failing = False
        rig.app.state.readiness.draining = True
        assert (await rig.ask("GET", "/readyz")).json["code"] == "shutting_down"


async def test_models_are_listed():
    async with running_server() as rig:
        models = (await rig.ask("GET", "/v1/models")).json["models"]
        assert models[0]["name"] == "scripted"
        assert models[0]["default"] is True
