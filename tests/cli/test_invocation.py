import os
import subprocess
import sys
from pathlib import Path

import pytest

from tokentape.cli.invocation import DEFAULT_URL, command, program


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "env" / "bin" / "tokentape"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    return tmp_path


def test_a_path_below_this_folder_stays_relative(folder):
    assert program(str(folder / "env/bin/tokentape"), path="/usr/bin") == "env/bin/tokentape"
    assert program("env/bin/tokentape", path="/usr/bin") == "env/bin/tokentape"


def test_a_program_in_this_very_folder_needs_a_dot(folder):
    (folder / "tokentape").write_text("")
    assert program("./tokentape", path="/usr/bin") == "./tokentape"


def test_elsewhere_it_is_absolute(folder, monkeypatch):
    (folder / "other").mkdir()
    monkeypatch.chdir(folder / "other")
    assert program("../env/bin/tokentape", path="/usr/bin") == f"{folder}/env/bin/tokentape"


def test_on_the_path_its_name_is_enough(folder):
    assert program(str(folder / "env/bin/tokentape"), path=str(folder / "env/bin")) == "tokentape"


def test_another_program_of_that_name_on_the_path_is_not_it(folder):
    other = folder / "other" / "tokentape"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    assert program("env/bin/tokentape", path=str(other.parent)) == "env/bin/tokentape"


def test_a_folder_with_a_blank_is_quoted(folder):
    (folder / "my env").mkdir()
    assert program("my env/tokentape", path="/usr/bin") == "'my env/tokentape'"


def test_as_a_module(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(folder / "env/bin/python"))
    assert program("/x/tokentape/__main__.py") == "env/bin/python -m tokentape"


def test_commands_can_be_pasted(folder, monkeypatch):
    monkeypatch.delenv("TOKENTAPE_URL", raising=False)
    monkeypatch.setattr(sys, "argv", ["env/bin/tokentape"])
    monkeypatch.setenv("PATH", "/usr/bin")
    assert command("send", "it's me", url=DEFAULT_URL) == """env/bin/tokentape send 'it'"'"'s me'"""
    there = "http://127.0.0.1:1"
    assert command("runs", url=there) == f"env/bin/tokentape runs --url {there}"
    monkeypatch.setenv("TOKENTAPE_URL", there)
    assert command("runs", url=there) == "env/bin/tokentape runs"


def test_what_it_says_of_itself_runs(tmp_path):
    code = "from tokentape.cli.invocation import program; print(program())"
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, check=True, text=True)
    again = f"{said.stdout.strip()} --version"
    done = subprocess.run(again, shell=True, cwd=tmp_path, capture_output=True, check=True, env={**os.environ})
    assert done.stdout.startswith(b"tokentape ")
