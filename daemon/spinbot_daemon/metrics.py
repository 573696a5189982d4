"""`/metrics`: what Prometheus reads. No job ids in labels; the cost does not grow with jobs that ended."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

from spinbot.events import EventType
from spinbot.jobs import KINDS, OVER, STATES, Kind, State
from spinbot.store import JobStore
from spinbot.tally import Histogram, histogram
from spinbot_daemon.exposition import Labels, Page

LOADED = ("voice", "look")


@dataclass(frozen=True)
class Here:
    """What this gateway knows that is not in the store; its counters begin anew with it."""

    watchers: int = 0
    sent: Mapping[str, int] = field(default_factory=dict)
    dropped: int = 0
    home: Path | None = None


def exposition(store: JobStore, here: Here, *, original_names: bool = True, openmetrics: bool = False) -> str:
    """Prometheus' text format, or OpenMetrics with the newest job of each bucket as its exemplar.

    Counters of jobs come from the store: they survive every restart and never count twice.

    Args:
        original_names: also MySpinBot's `bullmq_*`, so that dashboards made for it keep working.
    """
    fields = store.tally()
    changes = {(kind, state): _number(fields, f"jobs:{kind}:{state}") for kind in KINDS for state in STATES}
    now = {(kind, state): _number(fields, f"now:{kind}:{state}") for kind in KINDS for state in STATES}
    durations = {(kind, end): histogram(f"duration:{kind}:{end}", fields) for kind in KINDS for end in sorted(OVER)}
    waits = {kind: histogram(f"wait:{kind}", fields) for kind in KINDS}
    loads = {what: histogram(f"load:{what}", fields) for what in LOADED}
    page = Page(openmetrics)
    page.family("spinbot_jobs_total", "counter", "Changes of state of jobs.", _by_queue(changes))
    page.family("spinbot_jobs", "gauge", "Jobs in each state now.", _by_queue(now))
    page.histograms(
        "spinbot_job_duration_seconds",
        "From the first start of a job to its end.",
        {(("queue", kind), ("outcome", end)): found for (kind, end), found in durations.items()},
    )
    page.histograms(
        "spinbot_job_wait_seconds",
        "From the submission of a job to its first start.",
        {(("queue", kind),): found for kind, found in waits.items()},
    )
    page.histograms(
        "spinbot_model_load_seconds",
        "Loading a model into a worker.",
        {(("model", what),): found for what, found in loads.items()},
    )
    page.family("spinbot_steps_total", "counter", "Steps of jobs: training, denoising.", _each(fields, "steps"))
    page.family("spinbot_worker_restarts_total", "counter", "Workers started again.", _each(fields, "restarts"))
    _of_workers(page, store.workers())
    _of_waiting(page, store)
    page.family("websocket_clients_connected", "gauge", "Watchers connected now.", {(): float(here.watchers)})
    sent: dict[Labels, float] = {(("type", name),): float(here.sent.get(name, 0)) for name in get_args(EventType)}
    page.family("websocket_messages_total", "counter", "Messages sent to watchers.", sent)
    dropped: dict[Labels, float] = {(): float(here.dropped)}
    page.family("websocket_dropped_events_total", "counter", "Events a slow watcher was not sent.", dropped)
    if here.home is not None:
        free: dict[Labels, float] = {(): float(shutil.disk_usage(here.home).free)}
        page.family("spinbot_disk_free_bytes", "gauge", "Free on the disk of the home.", free)
    if original_names:
        page.family("bullmq_jobs_total", "counter", "Changes of state, as MySpinBot named them.", _by_state(changes))
        page.histograms("bullmq_job_duration_seconds", "As MySpinBot named it.", {(): _sum(durations.values())})
    return page.text()


def _of_workers(page: Page, workers: Mapping[str, Mapping[str, str]]) -> None:
    lanes = [facts.get("lane", "") for facts in workers.values()]
    page.family("spinbot_workers", "gauge", "Workers that answer.", _lanes(lambda kind: float(lanes.count(kind))))
    for name, text, key, factor in (
        ("spinbot_worker_resident_bytes", "Resident memory of the workers.", "rssMb", 1 << 20),
        ("spinbot_device_used_bytes", "Memory in use on the workers' GPU.", "deviceUsedMb", 1 << 20),
        ("spinbot_device_total_bytes", "Memory of the workers' GPU.", "deviceTotalMb", 1 << 20),
    ):
        found: dict[Labels, float] = {
            (("queue", kind),): sum(
                float(facts[key]) * factor for facts in workers.values() if facts.get("lane") == kind and key in facts
            )
            for kind in KINDS
            if any(facts.get("lane") == kind and key in facts for facts in workers.values())
        }
        page.family(name, "gauge", text, found)
    busy: dict[Labels, float] = {}
    for facts in workers.values():
        if "deviceBusyPercent" in facts:
            labels: Labels = (("queue", facts.get("lane", "")),)
            busy[labels] = max(busy.get(labels, 0.0), float(facts["deviceBusyPercent"]) / 100)
    page.family("spinbot_device_utilization_ratio", "gauge", "Part of the time in which the GPU computed.", busy)


def _of_waiting(page: Page, store: JobStore) -> None:
    now = time.time()
    heard = store.last_heard()
    quiet = _lanes(lambda kind: max((now - at for lane, at in heard if lane == kind), default=0.0))
    page.family(
        "spinbot_last_progress_seconds", "gauge", "Since a running job last said something; the longest.", quiet
    )
    oldest = {kind: store.oldest_queued(kind) for kind in KINDS}
    waiting = _lanes(lambda kind: max(0.0, now - at) if (at := oldest[kind]) else 0.0)
    page.family("spinbot_oldest_queued_seconds", "gauge", "How long the oldest queued job waits.", waiting)


def _lanes(value: Callable[[Kind], float]) -> dict[Labels, float]:
    return {(("queue", kind),): value(kind) for kind in KINDS}


def _each(fields: Mapping[str, str], name: str) -> dict[Labels, float]:
    return _lanes(lambda kind: _number(fields, f"{name}:{kind}"))


def _number(fields: Mapping[str, str], name: str) -> float:
    return float(fields.get(name, 0))


def _by_queue(values: Mapping[tuple[Kind, State], float]) -> dict[Labels, float]:
    return {(("queue", queue), ("state", state)): value for (queue, state), value in values.items()}


def _by_state(values: Mapping[tuple[Kind, State], float]) -> dict[Labels, float]:
    return {(("state", state),): sum(values[kind, state] for kind in KINDS) for state in STATES}


def _sum(found: Iterable[Histogram]) -> Histogram:
    parts = list(found)
    buckets = tuple(
        type(same[0])(same[0].le, sum(bucket.count for bucket in same))
        for same in zip(*(part.buckets for part in parts), strict=True)
    )
    return Histogram(buckets, sum(part.total for part in parts))
