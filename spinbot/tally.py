"""What a change of state adds to the counters. Written in the same atomic step as the change, so never twice."""

from __future__ import annotations

from spinbot.jobs import Job

BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)
"""Upper bounds of the histograms, seconds: 0.1 s to 6 h."""


def increments(job: Job) -> dict[str, float]:
    """Counter field -> amount, for `job` having just come to its present state.

    Fields: `jobs:{queue}:{state}`; `duration:{queue}:{outcome}:{le}` with `:sum` and `:count`, first start to end;
    `wait:{queue}:{le}` likewise, creation to first start. `le` is the bucket the value falls in ("inf" past the last),
    not cumulative: the reader sums.
    """
    changes: dict[str, float] = {f"jobs:{job.kind}:{job.state}": 1}
    if job.state == "active" and job.attempt == 1:
        changes |= _observed(f"wait:{job.kind}", job.status.since - job.created)
    if job.is_over and job.started is not None:
        changes |= _observed(f"duration:{job.kind}:{job.state}", job.status.since - job.started)
    return changes


def _observed(name: str, seconds: float) -> dict[str, float]:
    seconds = max(0.0, seconds)  # the clock may have been set back in between
    le = next((f"{bound:g}" for bound in BUCKETS if seconds <= bound), "inf")
    return {f"{name}:{le}": 1, f"{name}:sum": seconds, f"{name}:count": 1}
