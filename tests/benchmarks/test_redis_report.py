"""What the Redis benchmark says of its results."""

import json
from pathlib import Path

from harness.redis_report import report

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_the_report_is_the_one_of_the_results():
    found = json.loads((BENCHMARKS / "redis.json").read_text("utf-8"))
    assert (BENCHMARKS / "REDIS.md").read_text("utf-8") == report(found)


def test_what_is_required_is_judged_by_the_medians():
    def window(system: str, watched: str, **figures: float) -> dict[str, object]:
        return {"system": system, "watched": watched, "round": 0, **figures}

    found = json.loads((BENCHMARKS / "redis.json").read_text("utf-8"))
    found["windows"] = [
        window("naive", "nowhere", commands=2.0),
        *(window("tokentape", "nowhere", commands=commands) for commands in (0.1, 0.4, 9.0)),
        window("naive", "elsewhere", commands=2.0),
        window("tokentape", "elsewhere", commands=0.5),
        window("tokentape", "at both", own_p99=20.0, p99=36.0),
    ]
    verdicts = [line for line in report(found).splitlines() if "met |" in line]
    assert ["not met" in line for line in verdicts] == [False, True, True]
    assert "npm resumable-stream, which keeps tokens in its process: not installed" in report(found)
