"""Builds the pages of the server (`web/`) into the package, when a wheel or a source distribution is made."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUILT = "src/tokentape/server/web"
"""Kept out of the repository, and so named to the builder as an artifact."""


class PagesHook(BuildHookInterface[Any]):
    """Runs scripts/web; a source distribution holds what it made, and needs nothing."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Has the pages in place, and in the package. An editable install uses what `make web` made."""
        if version == "editable":
            return
        root = Path(self.root)
        # A source distribution has this file, and the pages as they were built for it.
        if not (root / "PKG-INFO").is_file():
            try:
                subprocess.run([root / "scripts" / "web"], check=True)  # noqa: S603  our own
            except OSError as error:
                raise RuntimeError(
                    f"The pages of the server cannot be built here ({error}): scripts/web wants a POSIX shell. "
                    "The wheel and the source distribution of a release hold them."
                ) from error
        if not (root / BUILT / "index.html").is_file():
            raise RuntimeError(f"{BUILT} is not there: this tree is not whole.")
        build_data["artifacts"].append(f"/{BUILT}")
