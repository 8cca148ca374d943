import psutil
import pytest

from tokentape.cli.child import ServerProcess
from tokentape.client import Client
from tokentape.core.errors import SetupError


async def test_it_can_be_killed_and_started_again_on_the_same_port(tmp_path):
    async with ServerProcess(f"sqlite:///{tmp_path}/tape.db", tmp_path / "log") as server:
        first, port = server.pid, server.port
        await server.kill()
        assert not psutil.pid_exists(first)
        await server.start()
        assert server.port == port
        async with Client(f"http://127.0.0.1:{port}") as client:
            assert (await client.healthz())["status"] == "ok"
    assert not psutil.pid_exists(server.pid)


async def test_a_server_that_does_not_start_leaves_its_last_words(tmp_path):
    with pytest.raises(SetupError, match=r"The server did not start\. It said: error: 'postgres://x' is not the URL"):
        await ServerProcess("postgres://x", tmp_path / "log").start()
