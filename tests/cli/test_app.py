"""The frame of the command line: help, usage, and how every error becomes one line and an exit code."""

import socket
import subprocess
import sys

import click
import pytest

from tokentape import __version__
from tokentape.cli import main
from tokentape.cli.app import COMMANDS, tokentape
from tokentape.cli.exits import Exit, exit_for_error, exit_for_reason, way_out
from tokentape.client import Unreachable
from tokentape.core import errors


@pytest.fixture
def nowhere() -> str:
    """The address of a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_with_help_json_and_its_summary(name, capsys):
    command = tokentape.get_command(click.Context(tokentape), name)
    assert command is not None
    assert "--json" in [option for parameter in command.params for option in parameter.opts]
    assert main([name, "--help"]) == Exit.OK
    begins = COMMANDS[name].summary.split()[0]
    assert capsys.readouterr().out.split("\n\n")[1].split()[0] == begins


def test_help_lists_the_commands_and_the_exit_codes(capsys):
    assert main(["--help"]) == Exit.OK
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert all(f"  {code.value:<4} " in shown for code in Exit)


def test_help_does_not_wait_for_what_it_does_not_need():
    code = (
        "import sys; from tokentape.cli import main; main(['--help']); print({'aiohttp', 'starlette'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout.endswith("set()\n")


def test_a_server_without_providers_loads_no_http_client():
    """It would take longer than all the rest of its start."""
    code = "import sys, tokentape.cli.serve, tokentape.cli.worker; print({'aiohttp'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "set()\n"


def test_version(capsys):
    assert main(["--version"]) == Exit.OK
    assert capsys.readouterr().out == f"tokentape {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["send", "--nothing"], "No such option '--nothing'. See 'tokentape send --help'."),
        (["stop"], "Missing argument 'RUN'"),
        (["send", "hi", "--max-tokens", "0"], "0 is not in the range"),
        (["send", "hi", "--simulated", "rate"], "'rate' is not an option; write name=value"),
        (["watch", "room", "--from", "yesterday"], "'yesterday' is not a cursor"),
        (["watch", "no such name"], "'no such name' is not a stream name"),
        (["runs", "--url", "localhost:8000"], "'localhost:8000' is not the address of a server"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(arguments, said, capsys):
    assert main(arguments) == Exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1


def test_no_command_is_a_question_for_help(capsys):
    assert main([]) == Exit.USAGE
    assert "Commands:" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [["send", "hi"], ["watch", "room"], ["stop", "r_1"], ["runs"], ["streams"], ["models"]]
)
def test_a_server_that_is_not_there_is_exit_3_and_the_way_out(arguments, nowhere, capsys):
    assert main([*arguments, "--url", nowhere]) == Exit.UNREACHABLE
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"error: Cannot reach {nowhere}: Connection refused. "
        "Start a server with 'tokentape serve', or name one with --url or TOKENTAPE_URL.\n"
    )


def test_the_address_comes_from_the_environment(nowhere, capsys, monkeypatch):
    monkeypatch.setenv("TOKENTAPE_URL", nowhere)
    assert main(["runs"]) == Exit.UNREACHABLE
    assert nowhere in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Unreachable("x"), 3),
        (errors.RunNotFound("x"), 4),
        (errors.StreamNotFound("x"), 4),
        (errors.ModelNotFound("x"), 4),
        (errors.InvalidCursor("x"), 2),
        (errors.SetupError("x"), 2),
        (errors.Unauthorized("x"), 2),
        (errors.Forbidden("x"), 2),
        (errors.RunConflict("x"), 1),
        (errors.ShuttingDown("x"), 1),
        (errors.TokentapeError("x"), 1),
    ],
)
def test_errors_have_the_documented_codes(error, code):
    assert exit_for_error(error) == code


def test_errors_of_which_more_can_be_said():
    assert "TOKENTAPE_TOKEN" in way_out(errors.Unauthorized("x"))
    assert "tokentape models" in way_out(errors.ModelNotFound("x"))
    assert way_out(errors.Conflict("x")) == ""


@pytest.mark.parametrize(
    ("reason", "code"),
    [("stop", 0), ("length", 0), ("tool_calls", 0), ("error", 5), ("stopped", 6), ("interrupted", 6), (None, 0)],
)
def test_endings_have_the_documented_codes(reason, code):
    assert exit_for_reason(reason) == code
