"""The `tokentape` command: its subcommands, and how every ending becomes an exit code."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

import click
from click.exceptions import NoArgsIsHelpError

from tokentape import __version__
from tokentape.cli.console import Console
from tokentape.cli.exits import Exit, exit_for_error, way_out
from tokentape.core.errors import TokentapeError


class _Command(NamedTuple):
    module: str
    summary: str


COMMANDS: Final = {
    "demo": _Command("demo", "Try tokentape: a server to play with, or the whole story by itself."),
    "serve": _Command("serve", "Run the server."),
    "worker": _Command("worker", "Execute the runs that servers leave to workers."),
    "send": _Command("send", "Start a run, and stream its answer."),
    "watch": _Command("watch", "Play a stream or a run, from any point, and follow it."),
    "stop": _Command("stop", "Stop a run, and keep what it has said."),
    "runs": _Command("lists", "List runs, the newest first."),
    "streams": _Command("lists", "List streams."),
    "models": _Command("models", "List the configured models."),
    "doctor": _Command("doctor", "Look for what stands in the way of a deployment."),
    "simulate": _Command("simulate", "Serve a simulated model in OpenAI's and Anthropic's formats."),
}
"""A command's module is imported when it is called: `--help` must not wait for an HTTP client."""

EPILOG: Final = """\b
Exit codes:
  0    success
  1    failure
  2    wrong usage or set-up
  3    the server cannot be reached
  4    not found
  5    the run ended with an error
  6    the run was stopped or interrupted
  130  Ctrl-C
  141  whoever read the output has gone
"""


class _CutShort(Exception):
    """The command was ended from outside."""

    def __init__(self, code: Exit) -> None:
        super().__init__(code)
        self.code = code


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        found = getattr(import_module(f"tokentape.cli.{entry.module}"), cmd_name)
        assert isinstance(found, click.Command)
        return found

    def invoke(self, ctx: click.Context) -> Any:
        # Said in our own words: click would print an empty line for the one, and fail with 1 for the other.
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise _CutShort(Exit.INTERRUPTED) from None
        except BrokenPipeError:
            raise _CutShort(Exit.BROKEN_PIPE) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(cls=_Group, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tokentape", message="%(prog)s %(version)s")
def tokentape() -> None:
    """Record an LLM's answer once; play it to anyone, from any point, over any protocol.

    Results go to stdout, progress to stderr. Every command takes --json. TOKENTAPE_URL and
    TOKENTAPE_TOKEN name the server and the credential.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code (see `tokentape.cli.exits`)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character is no reason to lose an answer.
            stream.reconfigure(errors="replace")
    code = _run(arguments)
    if code == Exit.BROKEN_PIPE:
        _silence_stdout()
    return code


def _run(arguments: Sequence[str] | None) -> int:
    console = Console()
    try:
        code = tokentape.main(arguments, prog_name="tokentape", standalone_mode=False)
        sys.stdout.flush()
    except _CutShort as cut:
        return cut.code
    except BrokenPipeError:
        return Exit.BROKEN_PIPE
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except click.exceptions.Exit as leave:
        return leave.exit_code
    except NoArgsIsHelpError as fault:
        fault.show()
        return Exit.USAGE
    except click.UsageError as fault:
        called = fault.ctx.command_path if fault.ctx is not None else "tokentape"
        console.error(fault.format_message(), f"See '{called} --help'.")
        return Exit.USAGE
    except click.ClickException as fault:
        console.error(fault.format_message())
        return Exit.USAGE
    except TokentapeError as error:
        console.error(error.message, way_out(error))
        return exit_for_error(error)
    return code if isinstance(code, int) else Exit.OK


def _silence_stdout() -> None:
    # At exit the interpreter flushes stdout once more, and would complain of the same pipe.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
