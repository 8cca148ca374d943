"""Other people's SDKs, imported by the first test that uses them: each takes seconds, and every worker collects all.

from sdks import anthropic, openai
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any


class _Later:
    """Stands for a module, and imports it when anything of it is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        # What pytest asks every name of a test module about itself must not be answered by an import.
        if attribute.startswith("_") or attribute == "pytestmark":
            raise AttributeError(attribute)
        return getattr(import_module(self._name), attribute)


if TYPE_CHECKING:
    import anthropic
    import openai
else:
    anthropic = _Later("anthropic")
    openai = _Later("openai")
