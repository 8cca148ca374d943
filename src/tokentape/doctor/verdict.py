"""What the notes of a trial mean, and which setting to change. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Final

from tokentape.core.findings import Finding
from tokentape.doctor.between import UNKNOWN, Intermediary, identify
from tokentape.doctor.probe import INTERVAL, TICKS, Trial

PROMPT: Final = 0.2
"""Seconds in which a token should be there (faults.md 27)."""
TOGETHER: Final = 0.02
"""Ticks that come closer than this came in one piece."""


def judge(trials: Sequence[Trial]) -> list[Finding]:
    """The findings of all connections through one address."""
    # Not every answer tells who gave it: that of an upgrade does not.
    between = next((who for trial in trials if (who := identify(trial.headers)) is not None), None)
    return [finding for trial in trials for finding in _judge(trial, between or UNKNOWN, known=between is not None)]


def _judge(trial: Trial, between: Intermediary, *, known: bool) -> list[Finding]:
    subject = trial.transport
    if trial.status not in (200, 101):
        return [_unopened(trial, between)]
    found = [_delivery(trial, between), *_compression(trial, between)]
    if trial.arrived:
        found += _silence(trial, between)
    if all(finding.verdict == "ok" for finding in found):
        delays = [trial.arrived[number] - trial.sent[number] for number in range(TICKS)]
        through = f" through {between.name}" if known else ""
        found = [
            Finding(
                subject,
                "ok",
                f"{TICKS} ticks{through}, {median(delays) * 1000:.0f} ms each, the slowest "
                f"{max(delays) * 1000:.0f} ms; open after {trial.silence:g} s of silence.",
            )
        ]
    return found


def _unopened(trial: Trial, between: Intermediary) -> Finding:
    trouble = trial.trouble or "it was not answered in time"
    if trial.transport == "WebSocket" and trial.status not in (401, 403, 429):
        # Without its Upgrade header it is an ordinary request, for which there is nothing at that address: 404.
        return Finding(
            "WebSocket", "failure", f"No WebSocket can be opened: {trouble}.", f"{between.name}: {between.upgrade}."
        )
    if not trial.status:
        return Finding(
            trial.transport,
            "failure",
            f"The head of the stream did not come: {trouble}.",
            f"Something holds the response back. {between.name}: {between.buffering}.",
        )
    return Finding(trial.transport, "failure", f"The stream cannot be opened: {trouble}.", _refused(trial.status))


def _refused(status: int) -> str:
    if status in (401, 403):
        return "Set TOKENTAPE_TOKEN to a key of this server."
    if status == 404:
        return "Is the path right? A tape may be mounted below one: https://example.org/tape."
    return "Look at the log of the server, and of what stands before it."


def _delivery(trial: Trial, between: Intermediary) -> Finding:
    missing = [number for number in range(TICKS) if number not in trial.arrived]
    if missing and trial.ended and trial.cut_after is None:
        return Finding(
            trial.transport,
            "failure",
            f"The connection was cut in the middle of the ticks: {TICKS - len(missing)} of {TICKS} came.",
            f"Look at the log of the server, and of what stands before it. {between.name}: {between.idle}.",
        )
    if missing and missing == list(range(missing[0], TICKS)):
        # A buffer that got full in between keeps the rest.
        came = f"only {missing[0]}" if missing[0] else "none"
        return Finding(
            trial.transport,
            "failure",
            f"Of {TICKS} ticks {came} came: they are being held back.",
            f"{between.name}: {between.buffering}.",
        )
    if missing:
        return Finding(
            trial.transport,
            "failure",
            f"{len(missing)} of {TICKS} ticks did not come.",
            "Several servers that do not share a store? They need Redis. Otherwise look at both logs.",
        )
    delays = [trial.arrived[number] - trial.sent[number] for number in range(TICKS)]
    if all(_collected(trial, half) for half in (range(TICKS // 2), range(TICKS // 2, TICKS))):
        return Finding(
            trial.transport,
            "failure",
            f"Ticks are collected and come in pieces, up to {max(delays):.1f} s late.",
            f"{between.name}: {between.buffering}.",
        )
    if median(delays) > PROMPT:
        return Finding(
            trial.transport,
            "warning",
            f"Ticks take {median(delays) * 1000:.0f} ms.",
            "The way is long: compare with the server's own address. Is the store far from the servers?",
        )
    return Finding(trial.transport, "ok", "Ticks come one by one.")


def _collected(trial: Trial, ticks: range) -> bool:
    """Whether some of these were late, and many came in one piece."""
    slowest = max(trial.arrived[number] - trial.sent[number] for number in ticks)
    together = sum(trial.arrived[after] - trial.arrived[before] < TOGETHER for before, after in pairwise(ticks))
    return slowest > INTERVAL and together > len(ticks) // 3


def _compression(trial: Trial, between: Intermediary) -> list[Finding]:
    encoding = trial.headers.get("content-encoding", "identity")
    if encoding == "identity":
        return []
    return [
        Finding(
            f"{trial.transport} compression",
            "warning",
            f"The stream comes compressed ({encoding[:20]}): that collects events, and costs memory per watcher.",
            f"{between.name}: {between.compression}.",
        )
    ]


def _silence(trial: Trial, between: Intermediary) -> list[Finding]:
    if trial.cut_after is not None:
        return [
            Finding(
                f"{trial.transport} time-out",
                "failure",
                f"The connection was cut after {trial.cut_after:.0f} s without an event.",
                f"{between.name}: {between.idle}; or `limits.heartbeat` below {max(1.0, trial.cut_after / 2):.0f} s.",
            )
        ]
    if TICKS not in trial.arrived:
        return [
            Finding(
                f"{trial.transport} time-out",
                "failure",
                f"After {trial.silence:g} s without an event the connection looked open, and nothing came any more.",
                f"Something dropped it silently. {between.name}: {between.idle}.",
            )
        ]
    return []
