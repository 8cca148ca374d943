import os
import pty
import subprocess
import sys

import pytest

from tokentape.cli.console import Console, fit, printable

SAY = """
from tokentape.cli.console import Console
console = Console()
console.text("an answ")
console.text("er")
console.note("a note", colour="red")
console.error("what", "do this")
console.line("a line")
"""


def on_a_terminal(code: str, **environment: str) -> bytes:
    """What a program shows whose stdout and stderr are one terminal."""
    mine, theirs = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | environment
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(mine, 4096)
        except OSError:  # on Linux this is how the end of a terminal reads
            break
        if not chunk:
            break
        shown += chunk
    os.close(mine)
    assert process.wait() == 0
    return shown.replace(b"\r\n", b"\n")


def test_results_and_notes_are_apart():
    done = subprocess.run([sys.executable, "-c", SAY], capture_output=True, check=True)
    assert done.stdout == b"an answer\na line\n"
    assert done.stderr == b"a note\nerror: what do this\n"


def test_a_terminal_that_both_share_keeps_lines_apart_and_has_colour():
    assert on_a_terminal(SAY).startswith(b"an answer\n\x1b[31ma note\n\x1b[0m")


def test_no_color():
    shown = on_a_terminal(SAY, NO_COLOR="1")
    assert shown == b"an answer\na note\nerror: what do this\na line\n"
    assert b"\x1b" in on_a_terminal(SAY, NO_COLOR="")


def test_text_from_elsewhere_cannot_drive_the_terminal():
    shown = on_a_terminal('from tokentape.cli.console import Console\nConsole().line("a\\x1b]0;x\\x07\\rb\\tc")')
    assert shown == "a\ufffd]0;x\ufffd\ufffdb\tc\n".encode()


def test_but_a_pipe_gets_it_as_it_is():
    code = 'from tokentape.cli.console import Console\nConsole().text("a\\x1b[1m\\r")'
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b"a\x1b[1m\r"


@pytest.mark.parametrize("mark", ["\x00", "\x1b", "\x7f", "\x9b", "\r", "\u202e", "\u2066"])
def test_unsafe_characters(mark):
    assert printable(f"a{mark}b") == "a\ufffdb"


def test_safe_characters():
    assert printable("Zoë\n\t\U0001f600\u200d") == "Zoë\n\t\U0001f600\u200d"


def test_documents_are_lines(capfdbinary):
    console = Console(as_json=True)
    console.document({"a": [1]})
    console.raw(b'{"b":2}')
    assert capfdbinary.readouterr().out == b'{"a":[1]}\n{"b":2}\n'


def test_tables_align(capsys):
    Console().table(("NAME", "N"), [("a", "1"), ("long", "22")])
    assert capsys.readouterr().out == "NAME  N\na     1\nlong  22\n"


def test_tables_are_cut_at_the_edge_of_a_terminal():
    code = 'from tokentape.cli.console import Console\nConsole().table(("HEAD",), [("x" * 50,)])'
    shown = on_a_terminal(code, COLUMNS="20")
    assert shown == b"HEAD\n" + b"x" * 19 + "…".encode() + b"\n"


def test_fit():
    assert fit("abcdef", None) == "abcdef"
    assert fit("abcdef", 6) == "abcdef"
    assert fit("abcdef", 5) == "abcd…"


def test_there_is_a_main_module():
    done = subprocess.run([sys.executable, "-m", "tokentape", "--version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"tokentape ")
    assert done.stderr == b""
