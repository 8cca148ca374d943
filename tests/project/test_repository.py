"""What must hold for the files of a checkout: nothing in them depends on the machine or the network that made them."""

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]

# Written so that this file passes its own test.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|yarnpkg\.com|npmmirror\.com|jsdelivr\.net|unpkg\.com|ghcr\.io|docker\.io"
)
LINK = re.compile(r'(?:\]\(|(?:href|src|srcset)=")(?!https?:)([^)"\s#]*)(?:#([^)"\s]+))?')
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:home|root|work|Users)/\w")


def is_source(folder: str) -> bool:
    """Whether a folder holds the project's own files: not git's, not generated, not installed."""
    return folder == ".ci" or not (folder.startswith(".") or folder in {"__pycache__", "node_modules", "dist", "build"})


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the checkout, as its path from the root and its content."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = filter(is_source, folders)
        # In a worktree of git, `.git` is a file with a path of the machine.
        for path in (Path(folder, name) for name in names if name != ".git"):
            try:
                yield path.relative_to(ROOT), path.read_text("utf-8")
            except UnicodeDecodeError:
                continue  # an image, a database


def found(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def places(page: Path) -> set[str]:
    """What an address within a page may name: its headings, as they are shown on the web."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def pins(name: str) -> dict[str, Version]:
    """The versions that a requirements file fixes, by package; fails at a line that is not exact and hashed."""
    fixed: dict[str, Version] = {}
    for entry in re.sub(r" *\\\n", " ", (ROOT / "requirements" / name).read_text("utf-8")).splitlines():
        requirement, *hashes = re.split(r" +--hash=", entry)
        assert hashes, entry
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", value) for value in hashes), entry
        parsed = Requirement(requirement)
        (specifier,) = parsed.specifier
        assert specifier.operator == "==", entry
        fixed[canonicalize_name(parsed.name)] = Version(specifier.version)
    return fixed


def wanted(group: str | None = None) -> Iterator[Requirement]:
    """What pyproject.toml asks for: to run, or in a dependency group and the groups that it includes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    for item in project["dependency-groups"][group] if group else project["project"]["dependencies"]:
        if isinstance(item, str):
            yield Requirement(item)
        else:
            yield from wanted(item["include-group"])


def test_the_search_sees_the_files_and_the_patterns_bite():
    seen = {str(path) for path, _ in texts()}
    assert {"Makefile", ".ci/run", "pyproject.toml", "requirements/dev.txt", "tests/project/test_repository.py"} <= seen
    assert REGISTRY.search("https://" + "pypi" + ".org/simple")
    assert MACHINE_PATH.search("cd /" + "home/me")


@pytest.mark.parametrize("pattern", [REGISTRY, MACHINE_PATH], ids=["registry host", "machine path"])
def test_no_file_names_a_registry_host_or_a_path_of_one_machine(pattern: re.Pattern[str]):
    assert found(pattern) == []


def test_every_link_between_the_pages_leads_somewhere():
    links = [
        (path, unquote(name), place)
        for path, text in texts()
        if path.suffix == ".md"
        for name, place in LINK.findall(CODE.sub("", text))
    ]
    assert len(links) > 150
    for page, name, place in links:
        target = (ROOT / page).parent / name if name else ROOT / page
        assert target.exists(), f"{page}: there is no {name}"
        assert not place or place in places(target), f"{page}: {name} has no #{place}"


@pytest.mark.parametrize("name", ["run.txt", "dev.txt", "build.txt", "lock.txt"])
def test_requirements_are_exact_and_hashed_and_name_no_place(name: str):
    text = (ROOT / "requirements" / name).read_text("utf-8")
    assert not re.search(r"://|index|find-links|\s/", text)
    assert pins(name)


@pytest.mark.parametrize(("name", "group"), [("run.txt", None), ("dev.txt", None), ("dev.txt", "dev")])
def test_requirements_are_those_that_pyproject_asks_for(name: str, group: str | None):
    fixed = pins(name)
    for requirement in wanted(group):
        version = fixed.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in {name}: run make lock"
        assert version in requirement.specifier, f"{name} has {requirement.name} {version}: run make lock"


def test_what_runs_is_what_was_tested():
    tested = pins("dev.txt")
    assert {name: tested[name] for name in pins("run.txt")} == pins("run.txt")


def test_every_decision_is_in_the_index_under_its_own_number():
    folder = ROOT / "docs" / "adr"
    records = {path.name for path in folder.glob("[0-9]*.md")}
    listed = re.findall(
        r"^\| \[(\d{4})\]\((\1-[a-z0-9-]+\.md)\) \| \S", (folder / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert {name for _, name in listed} == records
    assert len({number for number, _ in listed}) == len(records)
