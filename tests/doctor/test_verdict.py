"""From what was noted of a connection to what is wrong with it, and the setting that mends it."""

import pytest

from tokentape.doctor import Trial, judge
from tokentape.doctor.between import identify
from tokentape.doctor.probe import INTERVAL, TICKS


def trial(transport: str = "SSE", *, delay: float = 0.005, **notes) -> Trial:
    """A connection on which everything went well, but for what is given."""
    sent = {number: 100 + number * INTERVAL for number in range(TICKS)} | {TICKS: 140.0}
    given = {
        "status": 101 if transport == "WebSocket" else 200,
        "headers": {"server": "nginx/1.28.0"} if transport == "SSE" else {},
        "sent": sent,
        "arrived": {number: moment + delay for number, moment in sent.items()},
        "silence": 30.0,
    }
    return Trial(transport=transport, **{**given, **notes})


def verdicts(*trials: Trial) -> list[tuple[str, str]]:
    return [(finding.subject, finding.verdict) for finding in judge(trials)]


def test_a_good_way_is_one_line_for_each_transport() -> None:
    first, second = judge([trial(), trial("WebSocket")])
    assert (first.verdict, second.verdict) == ("ok", "ok")
    assert f"{TICKS} ticks through nginx, 5 ms each" in first.found
    assert "through nginx" in second.found, "an upgrade does not say whose answer it is, but the other stream does"


def test_nothing_comes() -> None:
    [finding] = judge([trial(arrived={})])
    assert finding.verdict == "failure"
    assert "proxy_buffering off" in finding.advice


def test_a_buffer_that_got_full_keeps_the_rest() -> None:
    held = dict.fromkeys(range(15), 101.6)
    [finding] = judge([trial(arrived=held)])[:1]
    assert "only 15 came: they are being held back" in finding.found
    assert "proxy_buffering off" in finding.advice


def test_a_connection_that_is_cut_in_the_middle_of_the_ticks_is_no_buffer() -> None:
    notes = trial(arrived={number: 100 + number * INTERVAL for number in range(5)}, ended=True)
    finding, *_ = judge([notes])
    assert finding.found == f"The connection was cut in the middle of the ticks: 5 of {TICKS} came."


def test_ticks_that_come_in_one_piece_are_buffered() -> None:
    late = dict.fromkeys(range(TICKS), 102.0) | {TICKS: 140.0}
    [finding] = judge([trial(arrived=late)])
    assert "collected" in finding.found
    assert "proxy_buffering off" in finding.advice


def test_a_machine_that_stood_still_for_a_moment_is_no_buffer() -> None:
    """What was sent meanwhile comes in one piece, whoever it was that stood still."""
    notes = trial()
    for number in range(4, TICKS):
        notes.arrived[number] = max(notes.arrived[number], notes.sent[4] + 0.9)
    assert verdicts(notes) == [("SSE", "ok")]


def test_ticks_that_are_all_late_are_only_far_away() -> None:
    [finding] = judge([trial(delay=0.3)])
    assert finding.verdict == "warning"
    assert "300 ms" in finding.found


def test_one_late_tick_is_no_buffer() -> None:
    notes = trial()
    notes.arrived[3] += 0.25
    assert verdicts(notes) == [("SSE", "ok")]


def test_ticks_that_are_lost_are_another_servers() -> None:
    notes = trial()
    del notes.arrived[2], notes.arrived[5]
    finding, *_ = judge([notes])
    assert finding.found == f"2 of {TICKS} ticks did not come."
    assert "Redis" in finding.advice


def test_compression_is_named() -> None:
    notes = trial(headers={"server": "Caddy", "content-encoding": "gzip"})
    assert verdicts(notes) == [("SSE", "ok"), ("SSE compression", "warning")]
    assert "encode" in judge([notes])[1].advice


def test_a_connection_that_is_cut_in_its_silence() -> None:
    notes = trial(headers={"via": "1.1 haproxy"}, cut_after=10.2, ended=True)
    del notes.arrived[TICKS]
    finding = judge([notes])[-1]
    assert (finding.subject, finding.verdict) == ("SSE time-out", "failure")
    assert "after 10 s" in finding.found
    assert "timeout server" in finding.advice
    assert "`limits.heartbeat` below 5 s" in finding.advice


def test_a_connection_that_is_dropped_without_a_word() -> None:
    notes = trial()
    del notes.arrived[TICKS]
    finding = judge([notes])[-1]
    assert "nothing came any more" in finding.found


@pytest.mark.parametrize("status", [400, 404, 426, 502])
def test_an_upgrade_that_is_not_let_through(status: int) -> None:
    [_, finding] = judge([trial(), trial("WebSocket", status=status, arrived={}, trouble="it said no")])
    assert finding.verdict == "failure"
    assert "proxy_set_header Upgrade" in finding.advice


@pytest.mark.parametrize(("status", "advice"), [(401, "TOKENTAPE_TOKEN"), (404, "path"), (503, "log")])
def test_a_stream_that_is_refused(status: int, advice: str) -> None:
    [finding] = judge([trial(status=status, arrived={})])
    assert finding.verdict == "failure"
    assert advice in finding.advice


def test_a_head_that_does_not_come_is_held_back() -> None:
    [finding] = judge([trial(status=0, arrived={}, headers={})])
    assert "head" in finding.found
    assert "proxy_buffering" in finding.advice


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"server": "nginx"}, "nginx"),
        ({"server": "uvicorn", "via": "1.1 Caddy"}, "Caddy"),
        ({"server": "Apache/2.4.62 (Debian)"}, "Apache"),
        ({"server": "envoy"}, "Envoy"),
        ({"server": "cloudflare", "cf-ray": "8"}, "Cloudflare"),
        ({"server": "nginx", "cf-ray": "8"}, "Cloudflare"),
        ({"server": "awselb/2.0"}, "AWS load balancer"),
        ({"via": "2 somebody"}, "a proxy that does not say its name"),
    ],
)
def test_who_stands_between(headers: dict[str, str], name: str) -> None:
    found = identify(headers)
    assert found is not None
    assert found.name == name


def test_nobody_stands_between() -> None:
    assert identify({"content-type": "text/event-stream"}) is None
    [finding] = judge([trial(headers={})])
    assert "through" not in finding.found
