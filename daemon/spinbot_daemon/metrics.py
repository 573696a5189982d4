"""`/metrics`: what Prometheus reads. No job ids in labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from spinbot.jobs import KINDS, STATES
from spinbot.store import JobStore

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def exposition(store: JobStore, *, watchers: int) -> str:
    """Prometheus' text format. Counters come from the store: they survive every restart and never count twice."""
    counters = store.counters()
    changes: dict[tuple[str, str], float] = {
        (kind, state): counters.get(f"jobs:{kind}:{state}", 0.0) for kind in KINDS for state in STATES
    }
    lines = [
        *_family("spinbot_jobs_total", "counter", "Changes of state of jobs.", changes),
        *_family("spinbot_jobs", "gauge", "Jobs in each state now.", _now(store)),
        "# HELP websocket_clients_connected Watchers connected now.",
        "# TYPE websocket_clients_connected gauge",
        f"websocket_clients_connected {watchers}",
    ]
    return "\n".join(lines) + "\n"


def _now(store: JobStore) -> dict[tuple[str, str], float]:
    """Jobs waiting and running are counted one by one; of those that are over the counters know the number."""
    counters = store.counters()
    now: dict[tuple[str, str], float] = {}
    for kind in KINDS:
        for state in STATES:
            over = state not in ("queued", "active")
            now[kind, state] = counters.get(f"jobs:{kind}:{state}", 0.0) if over else 0.0
    for job in [*store.newest(state="queued", limit=10_000), *store.newest(state="active", limit=10_000)]:
        now[job.kind, job.state] += 1
    return now


def _family(name: str, kind: str, text: str, values: Mapping[tuple[str, str], float]) -> Iterable[str]:
    yield f"# HELP {name} {text}"
    yield f"# TYPE {name} {kind}"
    for (queue, state), value in values.items():
        yield f'{name}{{queue="{queue}",state="{state}"}} {value:g}'
