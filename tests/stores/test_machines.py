"""Any history of calls leaves each store as it leaves the model, also when SQLite's is closed or killed in between."""

import shutil
import tempfile
from pathlib import Path
from typing import ClassVar

from hypothesis import HealthCheck, settings

from tokentape.stores.memory import MemoryStore
from tokentape.stores.sqlite import SqliteStore, Tuning
from tokentape.testing.store_machine import StoreMachine

TINY = Tuning(journal_bytes=400, journal_rows=4, checkpoint_bytes=200_000, max_heads=1)
SETTINGS = settings(
    max_examples=40, stateful_step_count=25, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


class MemoryMachine(StoreMachine):
    async def open(self) -> MemoryStore:
        return await MemoryStore().__aenter__()


class SqliteMachine(StoreMachine):
    reopens: ClassVar = ["closed", "killed"]
    tuning = Tuning()

    async def open(self) -> SqliteStore:
        self._folder = Path(tempfile.mkdtemp())
        self._path = self._folder / "0.db"
        return await SqliteStore(self._path, tuning=self.tuning).__aenter__()

    async def reopen(self, way: str) -> SqliteStore:
        if way == "killed":
            # What a killed process leaves: the file and its log as they are. Copied by the writer thread itself, so
            # that it does nothing else meanwhile; the original is then closed and forgotten.
            copy = self._folder / f"{int(self._path.stem) + 1}.db"
            await self.store._writer.call(lambda: self._copy(copy))
            self._path = copy
        await self.store.__aexit__(None, None, None)
        return await SqliteStore(self._path, tuning=self.tuning).__aenter__()

    def _copy(self, copy: Path) -> None:
        shutil.copy(self._path, copy)
        shutil.copy(f"{self._path}-wal", f"{copy}-wal")

    def teardown(self) -> None:
        super().teardown()
        shutil.rmtree(self._folder)


class TinySqliteMachine(SqliteMachine):
    tuning = TINY


TestMemoryStore = MemoryMachine.TestCase
TestMemoryStore.settings = SETTINGS
TestSqliteStore = SqliteMachine.TestCase
TestSqliteStore.settings = SETTINGS
TestTinySqliteStore = TinySqliteMachine.TestCase
TestTinySqliteStore.settings = SETTINGS
