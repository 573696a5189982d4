"""What the queues did in a time: throughput, waiting and duration, from the records, without any other server."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from spinbot.jobs import KINDS, Job, State
from spinbot.store import JobStore

MOST = 50_000
"""Jobs that are looked at; older ones are left out, and the answer says so."""
PARTS = 24
"""Equal parts of the time, for a plot."""
ENDS: tuple[State, ...] = ("completed", "failed", "cancelled")


def stats(store: JobStore, *, since: float) -> dict[str, Any]:
    """Of the jobs made in the last `since` seconds; times are seconds.

    Waiting is from submission to the first start, duration from the first start to the end. Quantiles are of the
    values themselves (nearest rank), not of histogram buckets.
    """
    now = time.time()
    newest = store.newest(limit=MOST)
    jobs = [job for job in newest if job.created >= now - since]
    return {
        "since": now - since,
        "until": now,
        "complete": len(newest) < MOST or newest[-1].created < now - since,
        "queues": [{"queue": kind, **_figures([job for job in jobs if job.kind == kind])} for kind in KINDS],
        "parts": _parts(jobs, now - since, now),
    }


def _figures(jobs: list[Job]) -> dict[str, Any]:
    begun = [job for job in jobs if job.started is not None]
    over = [job for job in begun if job.is_over]
    return {
        "submitted": len(jobs),
        **{state: sum(job.state == state for job in jobs) for state in ("queued", "active", *ENDS)},
        "again": sum(job.attempt > 1 for job in jobs),
        "wait": _quantiles(job.started - job.created for job in begun if job.started is not None),
        "duration": _quantiles(job.status.since - job.started for job in over if job.started is not None),
    }


def _quantiles(values: Iterable[float]) -> dict[str, float] | None:
    """None of nothing."""
    ordered = sorted(max(0.0, value) for value in values)
    if not ordered:
        return None
    found = {f"p{share}": ordered[min(len(ordered) - 1, share * len(ordered) // 100)] for share in (50, 95, 99)}
    return {name: round(value, 3) for name, value in {**found, "max": ordered[-1]}.items()}


def _parts(jobs: list[Job], start: float, end: float) -> list[dict[str, float]]:
    """How many ended in each part of the time."""
    width = (end - start) / PARTS
    parts: list[dict[str, float]] = [
        {"from": start + index * width, **dict.fromkeys(ENDS, 0)} for index in range(PARTS)
    ]
    for job in jobs:
        if job.is_over and start <= job.status.since <= end:
            parts[min(PARTS - 1, int((job.status.since - start) / width))][job.state] += 1
    return parts
