"""Connections to Redis for one purpose: commands go out as one pipeline per node, and answers come back in order."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from hiredis import pack_command
from redis.asyncio import ConnectionPool, Redis, RedisCluster, Sentinel, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import AbstractConnection, Connection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AskError, ConnectionError, NoScriptError, RedisClusterException, RedisError, ResponseError  # noqa: A004

from tokentape.stores.redis.errors import explain, may_pass
from tokentape.stores.redis.scripts import SCRIPTS, Command, key_of
from tokentape.stores.redis.url import Target

CONNECT_SECONDS: Final = 2.0
"""How long a connection may take, when the time-out does not say less."""
HEALTH_SECONDS: Final = 15
"""A connection that was idle for so long is tried with a PING before it is used."""
FIRST_PAUSE: Final = 0.02
LONGEST_PAUSE: Final = 0.5
"""Between attempts, in seconds; the first one comes at once."""
MAX_COMMANDS: Final = 1000
"""A pipeline has no more commands than this."""


class Link:
    """A bounded number of connections for one purpose. Nothing is repeated behind the caller's back."""

    def __init__(self, target: Target, *, connections: int) -> None:
        self.target = target
        self.where = str(target)
        self._connections = connections
        self._room = asyncio.Semaphore(connections)
        self._nodes: dict[str, Redis] = {}
        self._cluster: RedisCluster | None = None
        self._master: Redis | None = None
        self._sentinels: list[Redis] = []

    async def open(self) -> None:
        """Learns the nodes of a cluster; otherwise connects at the first command."""
        if self.target.kind == "cluster":
            nodes = [ClusterNode(host, port) for host, port in self.target.hosts]
            self._cluster = RedisCluster(startup_nodes=nodes, **self._options(asking=True), **self._tls())
            await self._cluster.initialize()
        elif self.target.kind == "sentinel":
            login = {"username": self.target.sentinel_username, "password": self.target.sentinel_password}
            asking = {**self._options(asking=True), "db": 0, **login, **self._tls()}
            make: Any = Sentinel  # which has no types
            sentinel = make(list(self.target.hosts), sentinel_kwargs=asking, **self._options())
            self._sentinels = sentinel.sentinels
            more = {"max_connections": self._connections + 1, "socket_keepalive": True, **self._tls()}
            self._master = sentinel.master_for(self.target.service, **more)
        else:
            self._master = Redis(connection_pool=self._pool())

    async def close(self) -> None:
        """Closes all connections."""
        clients = [*self._nodes.values(), *self._sentinels]
        if self._master is not None:
            clients.append(self._master)
        self._nodes = {}
        for client in clients:
            await client.aclose(close_connection_pool=True)
        if self._cluster is not None:
            await self._cluster.aclose()

    async def send(self, commands: Sequence[Command]) -> list[Any]:
        """One attempt: the answer, or the exception, of each command. Those for one node are done in their order."""
        async with self._room:
            if self._cluster is None:
                assert self._master is not None, "opened first"
                return await self._pipeline(self._master, commands)
            return await self._spread(self._cluster, commands)

    async def mend(self, answers: Sequence[Any]) -> None:
        """Does what will help the next attempt: sends the scripts, or learns the nodes of the cluster anew."""
        if any(isinstance(answer, NoScriptError) for answer in answers):
            await self.load_scripts()
        if self._cluster is not None and any(isinstance(a, AskError | ConnectionError) for a in answers):
            try:
                await self._cluster.nodes_manager.initialize()
            except (RedisError, RedisClusterException, OSError):
                return  # the next attempt says what is wrong

    async def load_scripts(self) -> list[BaseException]:
        """Sends all scripts to all servers; returns what went wrong."""
        loads: list[Command] = [("SCRIPT", "LOAD", script.text) for script in SCRIPTS]
        clients = [self._node(node) for node in self._cluster.get_primaries()] if self._cluster else [self._master]
        errors: list[BaseException] = []
        for client in clients:
            assert client is not None, "opened first"
            answers = await self._pipeline(client, loads)
            errors += [answer for answer in answers if isinstance(answer, BaseException)]
        return errors

    async def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Sends commands that may be repeated without harm, until all are answered; raises the first error."""
        answers: list[Any] = []
        for start in range(0, len(commands), MAX_COMMANDS):
            answers += await self._ask(commands[start : start + MAX_COMMANDS])
        return answers

    async def _ask(self, commands: Sequence[Command]) -> list[Any]:
        attempts = Attempts(self.target.timeout)
        answers = await self.send(commands)
        while failed := [at for at, answer in enumerate(answers) if isinstance(answer, BaseException)]:
            errors = [answers[at] for at in failed]
            worst = next((error for error in errors if not may_pass(error)), None)
            if worst is not None or not await attempts.again():
                raise explain(worst or errors[0], self.where) from None
            await self.mend(errors)
            for at, answer in zip(failed, await self.send([commands[at] for at in failed]), strict=True):
                answers[at] = answer
        return answers

    async def ask_any(self, *commands: Command) -> list[Any]:
        """One attempt at commands that have no key, at any node; the answers or exceptions."""
        async with self._room:
            client = self._master if self._cluster is None else self._node(self._cluster.get_primaries()[0])
            assert client is not None, "opened first"
            return await self._pipeline(client, commands)

    async def connect(self) -> AbstractConnection:
        """A connection of its own, to any node that takes part in publishing; the caller closes it."""
        if self._cluster is not None:
            await self._cluster.nodes_manager.initialize()
            node = self._cluster.get_primaries()[0]
            pool = self._pool(node.host, int(node.port))
        else:
            assert self._master is not None, "opened first"
            pool = self._master.connection_pool
        untyped: Any = pool.make_connection
        connection: Any = untyped()
        try:
            async with asyncio.timeout(self.target.timeout):
                await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        return cast("AbstractConnection", connection)

    @property
    def is_cluster(self) -> bool:
        """Whether keys of different streams may live on different servers."""
        return self._cluster is not None

    async def _pipeline(self, client: Redis, commands: Sequence[Command]) -> list[Any]:
        """All commands in one write, on one connection, with one time-out for all their answers.

        redis-py's own pipelines have one for each answer, and take twice as long over it all.
        """
        pool: Any = client.connection_pool  # which is typed in part
        try:
            async with asyncio.timeout(self.target.timeout):
                connection: AbstractConnection = await pool.get_connection()
                try:
                    await connection.send_packed_command([b"".join(map(_pack, commands))])
                    return [await _answer(connection) for _ in commands]
                except BaseException:
                    # Answers that were not read would be taken for those of the next commands.
                    await connection.disconnect(nowait=True)
                    raise
                finally:
                    await pool.release(connection)
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            return [error] * len(commands)

    async def _spread(self, cluster: RedisCluster, commands: Sequence[Command]) -> list[Any]:
        answers: list[Any] = [None] * len(commands)
        parts: dict[str, tuple[ClusterNode, list[int]]] = {}
        for at, command in enumerate(commands):
            try:
                node = cluster.get_node_from_key(str(key_of(command)))
                assert node is not None
            except (RedisError, RedisClusterException) as error:
                answers[at] = error
                continue
            parts.setdefault(node.name, (node, []))[1].append(at)

        async def serve(node: ClusterNode, mine: list[int]) -> None:
            got = await self._pipeline(self._node(node), [commands[at] for at in mine])
            for at, answer in zip(mine, got, strict=True):
                answers[at] = answer
                if type(answer) is AskError:  # this key is on its way to another node (MovedError is a kind of it)
                    there = ClusterNode(answer.host, answer.port)
                    _, answers[at] = await self._pipeline(self._node(there), [("ASKING",), commands[at]])

        await asyncio.gather(*(serve(node, mine) for node, mine in parts.values()))
        return answers

    def _node(self, node: ClusterNode) -> Redis:
        if node.name not in self._nodes:
            self._nodes[node.name] = Redis(connection_pool=self._pool(node.host, int(node.port)))
        return self._nodes[node.name]

    def _pool(self, host: str = "", port: int = 0) -> ConnectionPool:
        kind: type[AbstractConnection] = SSLConnection if self.target.tls else Connection
        options: dict[str, Any] = {**self._options(), "max_connections": self._connections + 1}
        if self.target.kind == "unix":
            return ConnectionPool(UnixDomainSocketConnection, path=self.target.path, **options)
        if not host:
            host, port = self.target.hosts[0]
        extra: dict[str, Any] = {"ssl_ca_certs": self.target.ca} if self.target.tls else {}
        return ConnectionPool(kind, host=host, port=port, socket_keepalive=True, **options, **extra)

    def _tls(self) -> dict[str, Any]:
        return {"ssl": True, "ssl_ca_certs": self.target.ca} if self.target.tls else {}

    def _options(self, *, asking: bool = False) -> dict[str, Any]:
        """What all connections have in common; `asking` is for those that only ask where the others should go.

        Time-outs of connections are redis-py's only there. It waits with `asyncio.wait_for`, which before Python 3.12
        can swallow the cancellation of whoever called; `_pipeline` has a time-out of its own.

        The protocol is version 2: with 3, redis-py 8 does not notice that a server has closed an idle connection.
        Retries are off: a command whose connection was lost may have been done.
        """
        return {
            "db": self.target.db,
            "username": self.target.username,
            "password": self.target.password,
            "protocol": 2,
            "retry": Retry(NoBackoff(), 0),
            "socket_timeout": min(CONNECT_SECONDS, self.target.timeout) if asking else None,
            "socket_connect_timeout": min(CONNECT_SECONDS, self.target.timeout),
            "health_check_interval": HEALTH_SECONDS,
            "client_name": "tokentape",
        }


_pack: Final[Callable[[Command], bytes]] = cast("Any", pack_command)


async def _answer(connection: AbstractConnection) -> Any:
    """The next answer, with no time-out of its own; what the server says against a command is an answer too."""
    try:
        return await connection.read_response(timeout=math.inf)
    except ResponseError as error:
        return error


class Attempts:
    """Attempts at something, in ever longer distances, for as long as a call may take."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._pause = 0.0

    async def again(self) -> bool:
        """Waits for the next attempt; False when there is no time for one."""
        if time.monotonic() + self._pause >= self._until:
            return False
        await asyncio.sleep(self._pause)
        self._pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, self._pause * 2))
        return True


async def end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancels tasks that use connections, and waits until they have ended.

    Once may not be enough, where redis-py waits with `asyncio.wait_for`; see `Link._options`.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
