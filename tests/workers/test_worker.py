"""The warm worker on real queues: one after another in one process, with beats during a job, and pauses."""

import json
import os
import pickle
import threading
import zlib
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


class Bomb:
    """What a pickle can do: a file, made by its reading."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def entries(path: Path) -> dict[str, dict[str, bytes]]:
    """What somebody could write who reached the broker."""
    call = json.dumps(["os.mkdir", None, [str(path)], {}]).encode()
    ours = json.dumps(["spinbot_workers.run.run_job", None, ["gen-aaaaaa", 1], {}]).encode()
    return {
        "a pickle": {"data": zlib.compress(pickle.dumps(Bomb(path)))},
        "a pickle, not packed": {"data": pickle.dumps(Bomb(path))},
        "another function": {"data": zlib.compress(call)},
        "a callback": {
            "data": zlib.compress(ours),
            "success_callback_name": b"callback_of_a_stranger.run",
            "failure_callback_name": b"callback_of_a_stranger.run",
        },
        "no data": {},
    }


@pytest.mark.parametrize("kind", entries(Path()))
def test_an_entry_that_is_not_ours_runs_nothing_and_the_next_job_runs(
    worker: LaneWorker, store: JobStore, binary: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(run_module, "_body", lambda job: ({"work": 1.0}, lambda warm, job, report: {}))
    made = tmp_path / "made"
    (tmp_path / "callback_of_a_stranger.py").write_text(f"import os\nos.mkdir({str(made)!r})\n")
    monkeypatch.syspath_prepend(tmp_path)
    fields = {
        "created_at": b"2026-11-24T00:00:00.000000Z",
        "origin": b"generate",
        "timeout": b"-1",
        **entries(made)[kind],
    }
    binary.hset("rq:job:evil", mapping=fields)
    binary.rpush("rq:queue:generate", "evil")
    job = submit(store, binary)
    worker.work(burst=True)
    assert not made.exists()
    assert store.get(job.id).state == "completed"
