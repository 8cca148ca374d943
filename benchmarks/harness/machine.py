"""On what it was measured: the machine, the versions, and how quiet it was. No names of hosts, no paths."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

from harness.cores import Cores

CPUINFO = Path("/proc/cpuinfo")
MEMINFO = Path("/proc/meminfo")


def parse_cpu_model(text: str) -> str:
    """The first `model name` of `/proc/cpuinfo`; ARM has none."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def parse_memory_total(text: str) -> int:
    """Bytes of `MemTotal` in `/proc/meminfo`, which counts in KiB."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == "MemTotal":
            return int(value.split()[0]) * 1024
    raise ValueError("no MemTotal in meminfo")


def describe(cores: Cores, descriptors: int) -> dict[str, Any]:
    return {
        "cpu": parse_cpu_model(CPUINFO.read_text()),
        "cores": os.cpu_count(),
        "server_core": cores.server,
        "client_core": cores.client,
        "memory_gib": round(parse_memory_total(MEMINFO.read_text()) / 1024**3, 1),
        "kernel": platform.release().split("-")[0],
        "python": platform.python_version(),
        "descriptors": descriptors,
        "load_before": [round(value, 2) for value in os.getloadavg()],
    }
