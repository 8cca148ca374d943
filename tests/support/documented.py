"""The code in pages of documentation, as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

DOCS: Final = Path(__file__).parents[2] / "docs"

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAMED: Final = re.compile(r"(?:#|//) (\w+/[\w.]+)\n")
_DIFF: Final = re.compile(r"--- (\S+)\n\+\+\+ (\S+)\n")


class Block(NamedTuple):
    language: str
    code: str
    line: int
    """Of its first line, in the page."""

    def files(self) -> dict[str, str]:
        """The files that it shows, by their names: a whole one, or both sides of a diff that leaves nothing out."""
        if named := _NAMED.match(self.code):
            return {named[1]: self.code}
        if (sides := _DIFF.match(self.code)) is None:
            return {}
        lines = self.code[sides.end() :].splitlines(keepends=True)
        assert all(line[0] in " +-\n" for line in lines), "a diff has lines of another kind"
        return {
            name: "".join(line[1:] or line for line in lines if line[0] != left_out)
            for name, left_out in ((sides[1], "+"), (sides[2], "-"))
        }


def blocks(page: str) -> list[Block]:
    text = (DOCS / page).read_text("utf-8")
    return [Block(found[1], found[2], text.count("\n", 0, found.start(2)) + 1) for found in _BLOCK.finditer(text)]


def unfold(page: str, folder: Path) -> None:
    """Writes the files that a page shows."""
    files = {name: code for block in blocks(page) for name, code in block.files().items()}
    assert files, f"{page} shows no file"
    for name, code in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, "utf-8")
