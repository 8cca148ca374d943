"""The wheel is what a user gets: it is built, looked into, and installed where the checkout cannot stand in for it."""

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "tokentape"


def run(*command: str | Path, cwd: Path, **changed: str) -> str:
    """The output of a command that must succeed, run without the settings that could lead Python to this checkout."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | changed
    done = subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts folder of a new environment that holds the wheel; what it depends on is lent by this environment."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home, with_pip=False)
    scripts = home / Path(sysconfig.get_path("scripts")).relative_to(sys.prefix)
    lent = Path(sysconfig.get_path("purelib"))
    site_packages = home / lent.relative_to(sys.prefix)
    # A path that is named in a .pth file is searched, but its own .pth files are not read: so the editable
    # install of this checkout, which is one, stays out.
    (site_packages / "lent.pth").write_text(f"{lent}\n")
    python = scripts / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        wheel,
        cwd=home,
    )
    return scripts


def test_every_file_of_the_package_is_in_the_wheel_and_nothing_else(wheel: Path):
    ours = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"tokentape/py.typed", "tokentape/stores/sqlite/schema.sql", "tokentape/server/web/console.html"} <= ours
    packed = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in packed if ".dist-info/" not in name} == ours


def test_a_wheel_from_the_source_distribution_is_the_same_and_needs_no_npm(wheel: Path, tmp_path: Path):
    build = [sys.executable, "-m", "hatchling", "build", "--directory", tmp_path / "built", "--target"]
    run(*build, "sdist", cwd=ROOT)
    (sdist,) = tmp_path.glob("built/*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    run(*build, "wheel", cwd=tmp_path / sdist.name.removesuffix(".tar.gz"), PATH=str(tmp_path))
    (other,) = tmp_path.glob("built/*.whl")
    assert zipfile.ZipFile(other).namelist() == zipfile.ZipFile(wheel).namelist()


def test_the_installed_pages_are_whole(installed: Path, tmp_path: Path):
    listing = "from tokentape.server.routes.page import page_routes; print(*(route.path for route in page_routes()))"
    served = set(run(installed / "python", "-c", listing, cwd=tmp_path).split())
    assert {"/", "/console", "/favicon.svg"} <= served
    (package,) = installed.parent.rglob("tokentape/server/web")
    for page in ("index.html", "console.html"):
        named = re.findall(r'(?:src|href)="\.(/[^"]+)"', (package / page).read_text("utf-8"))
        assert named
        assert set(named) <= served


def test_the_licence_is_in_the_wheel(wheel: Path):
    (licence,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/licenses/LICENSE"))
    assert zipfile.ZipFile(wheel).read(licence) == (ROOT / "LICENSE").read_bytes()


def test_the_installed_wheel_imports_without_the_checkout(installed: Path, tmp_path: Path):
    shown = run(
        installed / "python", "-c", "import tokentape; print(tokentape.__file__, tokentape.Tape.__name__)", cwd=tmp_path
    )
    where, name = shown.split()
    assert Path(where).is_relative_to(installed.parent)
    assert name == "Tape"


def test_the_installed_commands_start(installed: Path, tmp_path: Path):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    for command in project["scripts"]:
        assert run(installed / command, "--version", cwd=tmp_path)


def test_python_m_tokentape_is_the_command(installed: Path, tmp_path: Path):
    asked = ["--version"]
    assert run(installed / "python", "-m", "tokentape", *asked, cwd=tmp_path) == run(
        installed / "tokentape", *asked, cwd=tmp_path
    )
