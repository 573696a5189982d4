"""`/metrics`: what Prometheus reads. No job ids in labels; the cost does not grow with the number of jobs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from spinbot.jobs import KINDS, OVER, STATES, Kind, State
from spinbot.store import JobStore
from spinbot.tally import Histogram, histogram

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[tuple[str, str], ...]


def exposition(store: JobStore, *, watchers: int, original_names: bool = True) -> str:
    """Prometheus' text format. Counters come from the store: they survive every restart and never count twice.

    Args:
        watchers: WebSocket clients connected now.
        original_names: also MySpinBot's `bullmq_*`, so that dashboards made for it keep working.
    """
    fields = store.tally()
    changes = {(kind, state): _number(fields, f"jobs:{kind}:{state}") for kind in KINDS for state in STATES}
    now = {(kind, state): _number(fields, f"now:{kind}:{state}") for kind in KINDS for state in STATES}
    durations = {(kind, end): histogram(f"duration:{kind}:{end}", fields) for kind in KINDS for end in sorted(OVER)}
    waits = {kind: histogram(f"wait:{kind}", fields) for kind in KINDS}
    families = [
        _family("spinbot_jobs_total", "counter", "Changes of state of jobs.", _by_queue(changes)),
        _family("spinbot_jobs", "gauge", "Jobs in each state now.", _by_queue(now)),
        _histograms(
            "spinbot_job_duration_seconds",
            "From the first start of a job to its end.",
            {(("queue", kind), ("outcome", end)): found for (kind, end), found in durations.items()},
        ),
        _histograms(
            "spinbot_job_wait_seconds",
            "From the submission of a job to its first start.",
            {(("queue", kind),): found for kind, found in waits.items()},
        ),
        _family("spinbot_workers", "gauge", "Workers that answer.", _workers(store)),
        _family("websocket_clients_connected", "gauge", "Watchers connected now.", {(): float(watchers)}),
    ]
    if original_names:
        families += [
            _family("bullmq_jobs_total", "counter", "Changes of state, as MySpinBot named them.", _by_state(changes)),
            _histograms("bullmq_job_duration_seconds", "As MySpinBot named it.", {(): _sum(durations.values())}),
        ]
    return "\n".join(line for family in families for line in family) + "\n"


def _number(fields: Mapping[str, str], name: str) -> float:
    return float(fields.get(name, 0))


def _by_queue(values: Mapping[tuple[Kind, State], float]) -> dict[Labels, float]:
    return {(("queue", queue), ("state", state)): value for (queue, state), value in values.items()}


def _by_state(values: Mapping[tuple[Kind, State], float]) -> dict[Labels, float]:
    return {(("state", state),): sum(values[kind, state] for kind in KINDS) for state in STATES}


def _workers(store: JobStore) -> dict[Labels, float]:
    lanes = [facts.get("lane", "") for facts in store.workers().values()]
    return {(("queue", kind),): float(lanes.count(kind)) for kind in KINDS}


def _sum(found: Iterable[Histogram]) -> Histogram:
    parts = list(found)
    buckets = tuple(
        type(same[0])(same[0].le, sum(bucket.count for bucket in same))
        for same in zip(*(part.buckets for part in parts), strict=True)
    )
    return Histogram(buckets, sum(part.total for part in parts))


def _family(name: str, kind: str, text: str, values: Mapping[Labels, float]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for labels, value in values.items():
        yield f"{name}{_shown(labels)} {value:.10g}"


def _histograms(name: str, text: str, found: Mapping[Labels, Histogram]) -> Iterator[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} histogram"
    for labels, values in found.items():
        for bucket in values.buckets:
            le = "+Inf" if bucket.le == float("inf") else f"{bucket.le:g}"
            yield f"{name}_bucket{_shown((*labels, ('le', le)))} {bucket.count:g}"
        yield f"{name}_sum{_shown(labels)} {values.total:.10g}"
        yield f"{name}_count{_shown(labels)} {values.count:g}"


def _shown(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""
