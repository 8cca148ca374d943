"""One event, one line, whatever is in it (faults, row 34)."""

import io
import json
import logging

import aiohttp
import pytest
from http_rig import running_server

from tokentape.server.config import Log
from tokentape.server.logs import JsonFormatter, TextFormatter, configure_logging

HOSTILE = "a\r\nINFO root: forged\x00\x1b[31m\u2028\u0085b"


def record(message: str, *args, exc_info=None, **fields) -> logging.LogRecord:
    made = logging.LogRecord("tokentape.x", logging.WARNING, "f.py", 1, message, args, exc_info)
    made.fields = fields
    return made


def test_text_is_one_line_without_control_characters():
    line = TextFormatter().format(record("saw %s", HOSTILE, path=HOSTILE))
    assert line.isprintable()
    assert "WARNING tokentape.x: saw a\\x0d" in line


def test_json_is_one_object_on_one_line():
    line = JsonFormatter().format(record("saw %s", HOSTILE, path=HOSTILE, status=200))
    assert "\n" not in line
    assert "\r" not in line
    entry = json.loads(line)
    assert entry["message"] == f"saw {HOSTILE}"
    assert (entry["path"], entry["status"], entry["level"]) == (HOSTILE, 200, "warning")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_traceback_stays_with_its_line(formatter):
    with pytest.raises(ValueError, match="invalid") as caught:
        int("why\nnot")
    line = formatter.format(record("failed", exc_info=(caught.type, caught.value, caught.tb)))
    assert "\n" not in line
    assert "ValueError" in line


@pytest.fixture
def restored():
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn")
    before = root.handlers[:], root.level, uvicorn.level
    yield
    root.handlers[:], root.level = before[0], before[1]
    uvicorn.setLevel(before[2])


def test_the_whole_process_logs_in_one_form(restored, monkeypatch):
    stderr = io.StringIO()
    monkeypatch.setattr("sys.stderr", stderr)
    configure_logging(Log(format="json", level="warning"))
    logging.getLogger("anything").warning("seen")
    logging.getLogger("anything").info("not seen")
    logging.getLogger("uvicorn.error").info("127.0.0.1 - /v1/ws?ticket=secret [accepted]")
    assert [json.loads(line)["message"] for line in stderr.getvalue().splitlines()] == ["seen"]


async def test_requests_are_logged_on_demand_and_without_their_query(caplog):
    async with running_server(log__access=True) as rig:
        with caplog.at_level(logging.INFO):
            await rig.ask("GET", "/v1/runs?token=planted")
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await rig.session.ws_connect(rig.url + "/v1/ws?token=planted", headers={"Origin": "null"})
            async with rig.session.ws_connect(rig.url + "/v1/ws?token=planted"):
                pass
    entries = [r.fields for r in caplog.records if r.name == "tokentape.access"]
    assert {"method": "GET", "path": "/v1/runs", "status": 200}.items() <= entries[0].items()
    assert entries[0]["bytes"] > 0
    assert "planted" not in caplog.text


async def test_by_default_requests_are_not_logged(caplog):
    async with running_server() as rig:
        with caplog.at_level(logging.DEBUG):
            await rig.ask("GET", "/v1/runs?token=planted")
    assert not [r for r in caplog.records if "access" in r.name and r.name != "aiohttp.access"]
    assert "planted" not in caplog.text
