"""What `make` says and does on a machine that lacks something: the scripts run, on a PATH that each test makes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class Machine:
    """A PATH that holds what a test puts there, and the few tools that the scripts use."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder
        self.policy = folder / "policy-rc.d"  # in place of the machine's own
        for tool in ("sh", "dirname", "id", "rm", "chmod"):
            self.link(tool, shutil.which(tool))

    def link(self, name: str, target: str | None) -> None:
        assert target is not None
        (self.bin / name).symlink_to(target)

    def program(self, name: str, *lines: str) -> Path:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
        path.chmod(0o755)
        return path

    def run(self, script: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        command = [ROOT / "scripts" / script, *arguments]
        settings["PATH"] = str(self.bin)
        settings["POLICY_RC_D"] = str(self.policy)
        return subprocess.run(command, env=settings, capture_output=True, text=True, check=False)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def old_python(machine: Machine, name: str) -> Path:
    return machine.program(name, '[ "$1" = --version ] && echo "Python 3.9.2" && exit', "exit 1")


def test_python3_is_taken_when_it_is_new_enough(machine: Machine):
    machine.link("python3", sys.executable)
    machine.link("python3.12", sys.executable)
    assert machine.run("find-python").stdout == "python3\n"


def test_an_old_python3_and_a_dead_launcher_are_passed_over(machine: Machine):
    old_python(machine, "python3")
    machine.program("python3.13", "echo 'version 3.13 is not switched on' >&2", "exit 127")
    machine.link("python3.12", sys.executable)
    assert machine.run("find-python").stdout == "python3.12\n"


def test_without_a_new_enough_python_it_says_what_is_there_and_what_to_do(machine: Machine):
    old_python(machine, "python3")
    asked = machine.run("find-python")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "needs Python 3.11 or newer, and python3 here is: Python 3.9.2" in asked.stderr
    assert "make PYTHON=" in asked.stderr


def test_the_python_that_was_named_is_the_one_that_counts(machine: Machine):
    machine.link("python3", sys.executable)
    named = old_python(machine, "elderly")
    assert machine.run("find-python", PYTHON=sys.executable).stdout == f"{sys.executable}\n"
    asked = machine.run("find-python", PYTHON=str(named))
    assert (asked.returncode, asked.stdout) == (1, "")
    assert f"PYTHON={named} is: Python 3.9.2" in asked.stderr


def test_the_first_program_that_is_installed_is_taken(machine: Machine):
    machine.program("google-chrome")
    asked = machine.run("program", "chromium", "chromium", "google-chrome")
    assert asked.stdout == f"{machine.bin}/google-chrome\n"


def test_a_path_to_a_program_is_never_replaced_by_another(machine: Machine):
    machine.program("chromium")
    asked = machine.run("program", "chromium", "/no/such/chromium")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "/no/such/chromium cannot be run" in asked.stderr


def test_root_gets_a_missing_program_installed_after_one_update(machine: Machine):
    machine.program("id", "echo 0")
    chromium = machine.bin / "chromium"
    machine.program(
        "apt-get",
        f'echo "$@" >>"{machine.bin}/asked"',
        f'case "$*" in *install*) printf "#!/bin/sh\\n" >"{chromium}"; {shutil.which("chmod")} +x "{chromium}" ;; esac',
    )
    asked = machine.run("program", "chromium", "chromium", "chromium-browser")
    assert asked.stdout == f"{chromium}\n"
    update, install = (machine.bin / "asked").read_text().splitlines()
    assert update.split()[0] == "update"
    assert {"install", "--yes", "--no-install-recommends", "chromium"} <= set(install.split())


def test_a_package_does_not_leave_its_service_running(machine: Machine):
    machine.program("id", "echo 0")
    machine.program("apt-get", f'"{machine.policy}" && exit 1; [ $? -eq 101 ]')
    installed = machine.run("debian-install", "redis-server")
    assert installed.returncode == 0, installed.stderr
    assert not machine.policy.exists()
    # Also when the installation fails; and what an administrator has put there stays as it is.
    machine.program("apt-get", "exit 1")
    assert machine.run("debian-install", "redis-server").returncode == 1
    assert not machine.policy.exists()
    machine.policy.write_text("the administrator's")
    machine.run("debian-install", "redis-server")
    assert machine.policy.read_text() == "the administrator's"


def test_anybody_else_is_told_the_command(machine: Machine):
    machine.program("id", "echo 1000")
    machine.program("apt-get", "exit 99")
    asked = machine.run("program", "chromium", "chromium")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "sudo apt-get install --no-install-recommends chromium\n" in asked.stderr


def test_a_machine_without_apt_is_told_what_to_install(machine: Machine):
    asked = machine.run("debian-install", "chromium")
    assert asked.returncode == 1
    assert "has no apt-get" in asked.stderr
    assert "'chromium'" in asked.stderr


def test_make_alone_lists_the_targets_for_people():
    make = shutil.which("make")
    assert make is not None
    shown = subprocess.run([make, "--directory", ROOT], capture_output=True, text=True, check=True).stdout
    assert re.findall(r"^  ([a-z-]+)  ", shown, re.MULTILINE) == [
        *("demo", "test", "check", "typescript", "web", "fmt", "bench", "soak", "lock", "package", "clean")
    ]


def test_continuous_integration_can_run_what_it_runs():
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert all(os.access(script, os.X_OK) for script in (ROOT / "scripts").iterdir())
