"""What a scrape of /metrics costs, with few jobs in the store and with many."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from benchmarks.jobs import OverSocket
from benchmarks.table import Table, quantiles
from spinbot.errors import NotAllowed
from spinbot.jobs import Completed, Job, TalkSpec, new_job
from spinbot.store import JobStore, connect

MANY = 100_000
SCRAPES = 50


def measure(socket: Path, broker: Path) -> Table:
    """SCRAPES of a real daemon before and after MANY completed jobs were put into its store."""
    store = JobStore(connect(f"unix://{broker}"))
    table = Table(f"GET /metrics, ms, with {MANY:,} jobs in the store", ["jobs", "p50", "p99", "wanted"])
    store.pause("generate", True)  # no worker is to take what is moved here
    for count, wanted in ((0, ""), (MANY, "below 20")):
        for _ in range(count):
            job = _added(store)
            store.begin(job.id, 1, "bench")
            store.finish(job.id, 1, Completed(result={}))
        middle, worst = quantiles([_scrape(socket) for _ in range(SCRAPES)])
        table.add(f"{store.count('completed'):,}", f"{1000 * middle:.1f}", f"{1000 * worst:.1f}", wanted)
    store.pause("generate", False)
    return table


def _added(store: JobStore) -> Job:
    """A queued job. Among so many ids of six letters two are alike by chance; the store refuses the second."""
    while True:
        with suppress(NotAllowed):
            return store.add(new_job(TalkSpec(prompt="x", say="x", scene="")))


def _scrape(socket: Path) -> float:
    daemon = OverSocket(socket)
    began = time.perf_counter()
    daemon.request("GET", "/metrics")
    answer = daemon.getresponse()
    assert answer.status == 200
    answer.read()
    daemon.close()
    return time.perf_counter() - began
