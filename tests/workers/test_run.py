"""One job from begin to end, on a real valkey: what is said, what ends it, and what survives."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from spinbot.errors import BadInput
from spinbot.events import Event
from spinbot.jobs import Active, Completed, Failed, Job, Queued, TalkSpec, new_job
from spinbot.settings import Settings
from spinbot.store import JobStore
from spinbot_workers import run as run_module
from spinbot_workers.reporter import Reporter
from spinbot_workers.run import run_job
from spinbot_workers.warm import Warm, install

Body = Callable[[Warm, Job, Reporter], dict[str, object]]


@pytest.fixture
def warm(store: JobStore, tmp_path: Path) -> Warm:
    warm = Warm(Settings(home=tmp_path), store, "generate-test", "generate", "cpu")
    install(warm)
    return warm


@pytest.fixture
def job(store: JobStore) -> Job:
    return store.add(new_job(TalkSpec(prompt="hello", say="hello", scene="hello")))


@pytest.fixture
def body(monkeypatch: pytest.MonkeyPatch) -> Callable[[Body], None]:
    def put(body: Body) -> None:
        monkeypatch.setattr(run_module, "_body", lambda job: ({"work": 1.0}, body))

    return put


def ten_steps(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
    for step in range(1, 11):
        report.step("work", step, 10, metrics={"loss": 1 / step})
    return {"answer": 42}


def test_a_job_ends_with_its_result_and_its_last_step_was_told(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    body(ten_steps)
    run_job(job.id, 1)
    events = store.events(job.id)
    assert store.get(job.id).status.model_copy(update={"since": 0}) == Completed(since=0, result={"answer": 42})
    assert [event.state for event in events if event.type == "state"] == ["queued", "active", "completed"]
    last = [event for event in events if event.type == "progress"][-1]
    assert (last.step, last.total, last.metrics and last.metrics["loss"]) == (10, 10, 0.1)
    assert [event.progress for event in events] == sorted(event.progress for event in events)


def test_a_job_that_was_cancelled_stops_before_its_next_step(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    reached: list[int] = []

    def cancelled_at_three(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        for step in range(1, 1_000_000):
            report.step("work", step, 1_000_000)
            if step == 3:
                store.cancel(job.id, "changed my mind")
                while not report.stop_reason:
                    threading.Event().wait(0.01)
            reached.append(step)
        return {}

    body(cancelled_at_three)
    run_job(job.id, 1)
    assert reached == [1, 2, 3]
    status = store.get(job.id).status
    assert (status.state, getattr(status, "reason", "")) == ("cancelled", "changed my mind")


def test_a_failure_says_what_and_what_to_do_and_the_log_has_the_traceback(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    def refuse(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        raise BadInput("clip 3 does not fit its words", hint="pass --transcript")

    body(refuse)
    run_job(job.id, 1)
    status = store.get(job.id).status
    assert isinstance(status, Failed)
    assert (status.error, status.hint) == ("clip 3 does not fit its words", "pass --transcript")

    def fall_over(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        raise ZeroDivisionError("by nought")

    other = store.add(new_job(TalkSpec(prompt="x", say="x", scene="x")))
    body(fall_over)
    run_job(other.id, 1)
    status = store.get(other.id).status
    assert isinstance(status, Failed)
    assert status.error == "ZeroDivisionError: by nought"
    assert "Traceback" in (warm.home.job(other.id) / "log.txt").read_text()


def test_a_full_disk_fails_the_job_with_the_file(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    def write(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        with open("/dev/full", "w") as file:
            file.write("x")
        return {}

    body(write)
    run_job(job.id, 1)
    status = store.get(job.id).status
    assert isinstance(status, Failed)
    assert "No space left on device" in status.error


def test_an_attempt_runs_once_and_a_stale_one_never(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    ran: list[int] = []

    def count(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        ran.append(job.attempt)
        return {}

    body(count)
    store.begin(job.id, 1, "a worker that died")
    assert store.lost(job.id, 1, "the worker died").status.state == "queued"
    run_job(job.id, 1)
    run_job(job.id, 2)
    run_job(job.id, 2)
    assert ran == [2]
    assert store.get(job.id).state == "completed"


def test_a_worker_that_lost_its_job_stops_and_drops_its_result(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    def robbed(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        store.lost(job.id, 1, "taken for dead")
        store.begin(job.id, 2, "another worker")
        for step in range(10_000):
            report.step("work", step, 10_000)
            threading.Event().wait(0.01)
        return {}

    body(robbed)
    run_job(job.id, 1)
    kept = store.get(job.id)
    assert isinstance(kept.status, Active)
    assert (kept.attempt, kept.status.worker) == (2, "another worker")


def test_a_worker_that_leaves_queues_its_job_again_without_counting_it(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    def asked_to_leave(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        warm.leaving = True
        report.ask_to_stop("leave")
        report.step("work", 1, 2)
        return {}

    body(asked_to_leave)
    run_job(job.id, 1)
    kept = store.get(job.id)
    assert isinstance(kept.status, Queued)
    assert kept.attempt == 1


def test_a_broken_broker_loses_no_note_and_never_stops_the_job(store: JobStore, job: Job) -> None:
    store.begin(job.id, 1, "generate-test")
    refused = threading.Event()

    class Flaky(JobStore):
        down = True

        def emit(self, event: Event) -> str:
            if self.down:
                refused.set()
                raise ConnectionErrorOfRedis("gone")
            return super().emit(event)

        def cancel_requested(self, job_id: str) -> str:
            if self.down:
                raise ConnectionErrorOfRedis("gone")
            return super().cancel_requested(job_id)

    from redis.exceptions import ConnectionError as ConnectionErrorOfRedis

    flaky = Flaky(store.redis)
    reporter = Reporter(flaky, store.get(job.id), {"work": 1})
    reporter.note("first")
    reporter.step("work", 1, 2)
    assert refused.wait(5)
    reporter.note("second")
    reporter.step("work", 2, 2)
    flaky.down = False
    reporter.close()
    said = [event for event in store.events(job.id) if event.type != "state"]
    assert [event.message for event in said if event.type == "note"] == ["first", "second"]
    assert said[-1].step == 2


def test_events_are_at_most_ten_a_second_and_end_with_the_newest(store: JobStore, job: Job) -> None:
    store.begin(job.id, 1, "generate-test")
    reporter = Reporter(store, store.get(job.id), {"work": 1}, per_second=10)
    for step in range(1, 5001):
        reporter.step("work", step, 5000)
    reporter.close()
    said = [event for event in store.events(job.id) if event.type == "progress"]
    assert said[-1].step == 5000
    assert len(said) < 50


def test_the_store_says_when_history_was_trimmed(redis: Redis, store: JobStore, job: Job) -> None:
    assert not store.trimmed_after(job.id, "0")
    store.begin(job.id, 1, "w")
    redis.xtrim(f"spinbot:events:{job.id}", maxlen=1, approximate=False)
    (kept,) = store.events(job.id)
    assert store.trimmed_after(job.id, "0")
    assert not store.trimmed_after(job.id, kept.id)


def test_counters_rise_once_for_each_change(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    body(ten_steps)
    run_job(job.id, 1)
    run_job(job.id, 1)
    counters = store.counters()
    assert {name: counters[f"jobs:generate:{name}"] for name in ("queued", "active", "completed")} == {
        "queued": 1,
        "active": 1,
        "completed": 1,
    }
    assert counters["duration:generate:completed:count"] == 1


def test_out_of_memory_fails_the_job_and_wears_the_process_out(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    def allocate(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        import torch

        torch.empty(2**60)
        return {}

    body(allocate)
    run_job(job.id, 1)
    status = store.get(job.id).status
    assert isinstance(status, Failed)
    assert "out of memory on cpu" in status.error
    assert "--steps" in status.hint
    assert warm.worn


def test_a_job_that_is_parked_goes_back_to_its_queue(
    warm: Warm, store: JobStore, job: Job, body: Callable[[Body], None]
) -> None:
    def parked(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        store.park(job.id)
        for step in range(10_000):
            report.step("work", step, 10_000)
            threading.Event().wait(0.01)
        return {}

    body(parked)
    run_job(job.id, 1)
    kept = store.get(job.id)
    assert (kept.state, kept.attempt) == ("queued", 1)
    body(ten_steps)
    run_job(job.id, 1)
    assert store.get(job.id).state == "completed"


def test_a_job_that_runs_longer_than_its_timeout_fails(
    warm: Warm, store: JobStore, body: Callable[[Body], None]
) -> None:
    def endless(warm: Warm, job: Job, report: Reporter) -> dict[str, object]:
        while True:
            report.step("work", 0, 1)
            threading.Event().wait(0.01)

    body(endless)
    job = store.add(new_job(TalkSpec(prompt="x", say="x", scene="x"), timeout=0.3))
    run_job(job.id, 1)
    status = store.get(job.id).status
    assert isinstance(status, Failed)
    assert status.error == "ran longer than its timeout of 0.3 s"
