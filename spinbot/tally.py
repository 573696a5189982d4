"""What a change of state adds to the counters. Written in the same atomic step as the change, so never twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from spinbot.jobs import Job, State

BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
"""Upper bounds of the histograms, seconds: 0.1 s to 6 h."""
EXEMPLAR = "exemplar:"
"""Fields that begin so hold a text and are set, not added to."""


def increments(job: Job, left: State | None = None) -> dict[str, float | str]:
    """Counter field -> amount, for `job` having just come to its present state from `left` (None: it is new).

    Fields: `jobs:{queue}:{state}` counts changes, `now:{queue}:{state}` goes up and down; `duration:{queue}:{outcome}`
    is first start to end, `wait:{queue}` creation to first start, each as `observed` says; `exemplar:{bucket's field}`
    is `[job id, seconds, Unix time]` of the newest job in that bucket.
    """
    changes: dict[str, float | str] = {f"jobs:{job.kind}:{job.state}": 1, f"now:{job.kind}:{job.state}": 1}
    if left is not None:
        name = f"now:{job.kind}:{left}"
        changes[name] = float(changes.get(name, 0)) - 1
    if job.state == "active" and job.started == job.status.since:
        changes |= observed(f"wait:{job.kind}", job.status.since - job.created, job)
    if job.is_over and job.started is not None:
        changes |= observed(f"duration:{job.kind}:{job.state}", job.status.since - job.started, job)
    return changes


def observed(name: str, seconds: float, job: Job | None = None) -> dict[str, float | str]:
    """One observation of the histogram `name`: `{name}:{le}`, `{name}:sum`, `{name}:count`.

    `le` is the bucket the value falls in ("inf" past the last), not cumulative: the reader sums.
    """
    seconds = max(0.0, seconds)  # the clock may have been set back in between
    le = next((f"{bound:g}" for bound in BUCKETS if seconds <= bound), "inf")
    changes: dict[str, float | str] = {f"{name}:{le}": 1, f"{name}:sum": seconds, f"{name}:count": 1}
    if job is not None:
        changes[f"{EXEMPLAR}{name}:{le}"] = json.dumps([job.id, round(seconds, 3), job.status.since])
    return changes


@dataclass(frozen=True)
class Bucket:
    """`count` values were at most `le` seconds (inf in the last); `job` is one that fell just into this bucket."""

    le: float
    count: float
    job: tuple[str, float, float] | None = None


@dataclass(frozen=True)
class Histogram:
    """Cumulative buckets, as Prometheus wants them."""

    buckets: tuple[Bucket, ...]
    total: float

    @property
    def count(self) -> float:
        return self.buckets[-1].count

    def quantile(self, share: float) -> float | None:
        """Seconds, linear inside the bucket as `histogram_quantile` does; None when nothing was observed."""
        if not self.count:
            return None
        rank, below, lower = share * self.count, 0.0, 0.0
        for bucket in self.buckets:
            if bucket.count >= rank and bucket.count > below:
                if bucket.le == float("inf"):
                    return lower
                return lower + (bucket.le - lower) * (rank - below) / (bucket.count - below)
            below, lower = bucket.count, bucket.le
        return lower


def histogram(name: str, fields: Mapping[str, str]) -> Histogram:
    """The histogram `name` out of the store's counters."""
    buckets: list[Bucket] = []
    count = 0.0
    for le in (*BUCKETS, float("inf")):
        count += float(fields.get(f"{name}:{le:g}", 0))
        said = fields.get(f"{EXEMPLAR}{name}:{le:g}")
        buckets.append(Bucket(le, count, tuple(json.loads(said)) if said else None))
    return Histogram(tuple(buckets), float(fields.get(f"{name}:sum", 0)))
