"""Resident memory of each process of the daemon, and whether it grows over many small jobs."""

from __future__ import annotations

import psutil

from benchmarks.jobs import OverSocket
from benchmarks.models import finished
from benchmarks.table import Table

JOBS = 50


def resident(pid: int) -> dict[str, int]:
    """MB by process of the daemon `pid`: supervisor, gateway, broker, workers."""
    found: dict[str, int] = {}
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        words = " ".join(process.cmdline())
        name = next(
            (
                name
                for mark, name in (
                    ("spinbot_workers --lane train", "worker train"),
                    ("spinbot_workers --lane generate", "worker generate"),
                    ("valkey", "broker"),
                    ("gateway", "gateway"),
                )
                if mark in words
            ),
            "supervisor",
        )
        found[name] = found.get(name, 0) + (process.memory_info().rss >> 20)
    return found


def measure(daemon: OverSocket, pid: int) -> Table:
    """Before and after JOBS short audio jobs."""
    finished(daemon, "/api/generate", {"prompt": "hello", "output": "audio"})
    before = resident(pid)
    for index in range(JOBS):
        finished(daemon, "/api/generate", {"prompt": "hello", "output": "audio", "seed": index})
    after = resident(pid)
    table = Table(f"Resident memory, MB, before and after {JOBS} small jobs", ["process", "before", "after", "wanted"])
    for name in before:
        table.add(name, str(before[name]), str(after.get(name, 0)), "")
    ours = sum(before[name] for name in ("supervisor", "gateway") if name in before)
    later = sum(after[name] for name in ("supervisor", "gateway") if name in after)
    table.add("daemon (supervisor + gateway)", str(ours), str(later), "below 120")
    return table
