from __future__ import annotations

from typing import Final

import pytest
from hypothesis import settings

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("tokentape", deadline=None)
settings.load_profile("tokentape")

LONG_FIRST: Final = ("durable_streams", "examples", "e2e", "deploy", "faults", "clients")
"""Folders whose tests last seconds each; begun last, one of them would go on alone when all the others are through.

Together they also share more: one worker starts the browser, while the others are busy with the short ones.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """After pytest-randomly has shuffled them; within a folder its order stays."""
    place = {folder: number for number, folder in enumerate(LONG_FIRST)}
    items.sort(key=lambda item: place.get(item.path.parent.name, len(place)))
