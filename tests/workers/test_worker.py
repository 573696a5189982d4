"""The warm worker on real queues: one after another in one process, with beats during a job, and pauses."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from spinbot.jobs import Job, TalkSpec, new_job
from spinbot.settings import Settings
from spinbot.store import JobStore
from spinbot_workers import run as run_module
from spinbot_workers.reporter import Reporter
from spinbot_workers.warm import Warm, install
from spinbot_workers.worker import LaneWorker


@pytest.fixture
def binary(redis_url: str) -> Redis:
    return Redis.from_url(redis_url)


@pytest.fixture
def worker(store: JobStore, binary: Redis, tmp_path: Path) -> LaneWorker:
    warm = Warm(Settings(home=tmp_path), store, "generate-test", "generate", "cpu")
    install(warm)
    return LaneWorker(warm, binary)


def submit(store: JobStore, binary: Redis) -> Job:
    job = store.add(new_job(TalkSpec(prompt="x", say="x", scene="x")))
    Queue("generate", connection=binary, serializer=JSONSerializer).enqueue_call(
        "spinbot_workers.run.run_job", (job.id, 1), timeout=-1, result_ttl=0, job_id=f"{job.id}-1"
    )
    return job


def test_jobs_run_in_order_in_the_workers_own_process(
    worker: LaneWorker, store: JobStore, binary: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, int]] = []

    def body(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        ran.append((job.id, os.getpid()))
        return {}

    monkeypatch.setattr(run_module, "_body", lambda job: ({"work": 1.0}, body))
    jobs = [submit(store, binary) for _ in range(3)]
    worker.work(burst=True)
    assert ran == [(job.id, os.getpid()) for job in jobs]
    assert store.count("completed") == 3


def test_a_worker_beats_while_its_job_computes(
    worker: LaneWorker, store: JobStore, binary: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, str]] = []

    def body(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        beat = threading.Thread(target=worker.beat)
        beat.start()
        beat.join()
        seen.append(store.workers()["generate-test"])
        return {}

    monkeypatch.setattr(run_module, "_body", lambda job: ({"work": 1.0}, body))
    job = submit(store, binary)
    worker.work(burst=True)
    assert (seen[0]["lane"], seen[0]["job"], seen[0]["pid"]) == ("generate", job.id, str(os.getpid()))


def test_a_paused_lane_takes_nothing_until_it_is_resumed(
    worker: LaneWorker,
    store: JobStore,
    binary: Redis,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., object],
) -> None:
    monkeypatch.setattr(run_module, "_body", lambda job: ({"work": 1.0}, lambda warm, job, report: {}))
    looked = threading.Event()
    paused = store.paused

    def look() -> frozenset[str]:
        found = paused()
        looked.set()
        return found

    monkeypatch.setattr(store, "paused", look)
    store.pause("generate", True)
    job = submit(store, binary)

    def resume() -> None:
        looked.wait(10)
        assert store.get(job.id).state == "queued"
        store.pause("generate", False)

    resuming = threading.Thread(target=resume)
    resuming.start()
    worker.work(burst=True)
    resuming.join()
    assert store.get(job.id).state == "completed"
