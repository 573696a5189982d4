"""Records, indexes, counters and events agree; a job that is over never moves again."""

import threading

import pytest

from spinbot.errors import JobAlreadyOver, JobNotFound, NotAllowed, StaleAttempt
from spinbot.events import Event, event_key
from spinbot.jobs import Completed, Failed, Job, LookSpec, TalkSpec, VoiceSpec, new_job
from spinbot.store import JobStore


def talk() -> Job:
    return new_job(TalkSpec(prompt="x", say="x", scene="x"))


def progress(job: Job, step: int, attempt: int = 1) -> Event:
    return Event(
        job_id=job.id, type="progress", state="active", progress=step, message="on", step=step, total=9, attempt=attempt
    )


def test_the_same_key_answers_with_the_same_job(store: JobStore) -> None:
    first = store.add(talk(), idempotency_key="k")
    again = store.add(talk(), idempotency_key="k")
    other = store.add(talk(), idempotency_key="other")
    assert again == first
    assert other.id != first.id
    assert len(store.newest()) == 2
    assert store.counters()["jobs:generate:queued"] == 2


def test_of_two_workers_one_begins(store: JobStore) -> None:
    job = store.add(talk())
    began: list[str] = []

    def begin(name: str) -> None:
        try:
            store.begin(job.id, 1, name)
            began.append(name)
        except NotAllowed:
            pass

    threads = [threading.Thread(target=begin, args=(f"w{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(began) == 1
    assert store.counters()["jobs:generate:active"] == 1


def test_what_is_over_never_moves_again(store: JobStore) -> None:
    job = store.add(talk())
    store.begin(job.id, 1, "w")
    store.finish(job.id, 1, Completed(result={}))
    with pytest.raises(JobAlreadyOver):
        store.finish(job.id, 1, Failed(error="late"))
    with pytest.raises(JobAlreadyOver):
        store.cancel(job.id)
    with pytest.raises(StaleAttempt):
        store.emit(progress(job, 5))
    assert [event.state for event in store.events(job.id)] == ["queued", "active", "completed"]


def test_twice_dead_is_failed_with_the_reason(store: JobStore) -> None:
    job = store.add(talk())
    store.begin(job.id, 1, "w1")
    assert store.lost(job.id, 1, "worker w1 was killed by signal 9").attempt == 2
    with pytest.raises(StaleAttempt):
        store.lost(job.id, 1, "said twice")
    store.begin(job.id, 2, "w2")
    ended = store.lost(job.id, 2, "worker w2 was killed by signal 9").status
    assert isinstance(ended, Failed)
    assert ended.error == "worker w2 was killed by signal 9, on attempt 2 of 2"


def test_the_end_of_the_whole_daemon_is_no_death_of_the_jobs_worker(store: JobStore) -> None:
    job = store.add(talk())
    for attempt in range(1, 4):
        store.begin(job.id, attempt, "w")
        assert store.lost(job.id, attempt, "the daemon ended", with_daemon=True).state == "queued"
    store.begin(job.id, 4, "w")
    assert store.lost(job.id, 4, "the worker died").state == "queued"
    store.begin(job.id, 5, "w")
    ended = store.lost(job.id, 5, "the worker died").status
    assert isinstance(ended, Failed)
    assert ended.error == "the worker died, on attempt 5 of 5"


def test_a_job_that_takes_the_daemon_down_every_time_does_not_go_on_for_ever(store: JobStore) -> None:
    job = store.add(talk())
    for attempt in range(1, 6):
        store.begin(job.id, attempt, "w")
        assert store.lost(job.id, attempt, "the daemon ended", with_daemon=True).state == "queued"
    store.begin(job.id, 6, "w")
    assert store.lost(job.id, 6, "the daemon ended", with_daemon=True).state == "failed"


def test_a_queued_job_is_cancelled_at_once_and_an_active_one_is_asked(store: JobStore) -> None:
    queued, active = store.add(talk()), store.add(talk())
    store.begin(active.id, 1, "w")
    assert store.cancel(queued.id, "no more").state == "cancelled"
    assert store.cancel(active.id, "no more").state == "active"
    assert store.emit(progress(active, 1)) == "no more"


def test_ids_order_events_across_jobs(store: JobStore) -> None:
    one, two = store.add(talk()), store.add(talk())
    store.begin(two.id, 1, "w")
    store.begin(one.id, 1, "w")
    for step in range(5):
        store.emit(progress(one, step))
        store.emit(progress(two, step))
    together = store.read_all("0", block_ms=10)
    assert [event_key(event.id) for event in together] == sorted(event_key(event.id) for event in together)
    assert [event for event in together if event.job_id == one.id] == store.events(one.id)
    middle = store.events(one.id)[3]
    assert store.events(one.id, after=middle.id) == store.events(one.id)[4:]


def test_jobs_are_listed_newest_first_and_by_what_they_are(store: JobStore) -> None:
    file = {"file": "01.wav", "name": "a.wav", "sha256": "0"}
    specs = [
        VoiceSpec(name="ada", inputs=(file,)),  # type: ignore[arg-type]
        TalkSpec(prompt="x", say="x", scene="x"),
        LookSpec(name="ada", inputs=(file,)),  # type: ignore[arg-type]
    ]
    jobs = [store.add(new_job(spec)) for spec in specs]
    store.cancel(jobs[0].id)
    assert [job.id for job in store.newest()] == [job.id for job in reversed(jobs)]
    assert [job.id for job in store.newest(kind="train", state="queued")] == [jobs[2].id]
    assert [job.id for job in store.newest(limit=1)] == [jobs[2].id]
    assert (store.count("queued"), store.count("cancelled")) == (2, 1)


def test_an_unknown_job_is_said_to_be_unknown(store: JobStore) -> None:
    with pytest.raises(JobNotFound, match="gen-nope"):
        store.get("gen-nope")
    with pytest.raises(JobNotFound):
        store.cancel("gen-nope")
    assert store.last("gen-nope") is None
