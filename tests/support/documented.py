"""The code in pages of documentation, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

DOCS: Final = Path(__file__).parents[2] / "docs"

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAME: Final = re.compile(r"(?:#|//|<!--) ((?:before|after)[\w./-]*)")


class Block(NamedTuple):
    language: str
    code: str
    line: int
    """Of its first line, in the page."""

    @property
    def name(self) -> str | None:
        """The file that it is, when its first line says so: `# before.py`."""
        found = _NAME.match(self.code)
        return found[1] if found else None


def blocks(page: str) -> list[Block]:
    text = (DOCS / page).read_text("utf-8")
    return [Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1) for found in _BLOCK.finditer(text)]


def unfold(page: str, folder: Path) -> None:
    """Writes the files that a page shows."""
    files = {block.name: block.code for block in blocks(page) if block.name}
    assert files, f"{page} shows no file"
    for name, code in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, "utf-8")
