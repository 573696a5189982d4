"""Jobs that wait for another, queues that are paused, jobs that may not run long."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from redis import Redis

from spinbot.errors import BadInput, NotAllowed
from spinbot.jobs import Completed, Failed, Input, Job, TalkSpec, VoiceSpec, new_job
from spinbot.store import PARKED, JobStore
from spinbot_daemon.after import checked_after, may_run, training_of, waiting_for
from spinbot_daemon.recovery import Recovery
from spinbot_daemon.transport import Transport, rq_id


def talk(**facts: object) -> Job:
    return new_job(TalkSpec(prompt="x", say="x", scene="x"), **facts)  # type: ignore[arg-type]


@pytest.fixture
def training(store: JobStore) -> Job:
    spec = VoiceSpec(name="ada", inputs=(Input(file="01.wav", name="a.wav", sha256="0"),))
    return store.add(new_job(spec))


def test_a_job_waits_for_the_one_it_is_after_and_runs_when_that_completed(store: JobStore, training: Job) -> None:
    job = store.add(talk(after=training.id))
    assert not may_run(store, job)
    store.begin(training.id, 1, "w")
    assert not may_run(store, job)
    store.finish(training.id, 1, Completed(result={}))
    assert may_run(store, job)
    assert waiting_for(store, training.id, ("generate",)) == [job]


def test_a_job_whose_predecessor_failed_is_cancelled_with_that_reason(store: JobStore, training: Job) -> None:
    job = store.add(talk(after=training.id))
    store.begin(training.id, 1, "w")
    store.finish(training.id, 1, Failed(error="no"))
    assert not may_run(store, job)
    status = store.get(job.id).status
    assert (status.state, getattr(status, "reason", "")) == (
        "cancelled",
        f"{training.id}, which it waited for, is failed",
    )


def test_a_chain_ends_when_its_head_is_cancelled(store: JobStore, redis: Redis, redis_url: str, training: Job) -> None:
    middle = store.add(talk(after=training.id))
    last = store.add(talk(after=middle.id))
    store.cancel(training.id)
    recovery = Recovery(store, Transport(Redis.from_url(redis_url)))
    recovery.reconcile()
    recovery.reconcile()
    assert {store.get(job.id).state for job in (middle, last)} == {"cancelled"}


def test_only_a_job_that_may_still_complete_can_be_waited_for(store: JobStore, training: Job) -> None:
    assert checked_after(store, training.id) == training.id
    store.cancel(training.id)
    with pytest.raises(BadInput, match="is cancelled"):
        checked_after(store, training.id)
    with pytest.raises(BadInput, match="no job"):
        checked_after(store, "gen-234567")


def test_the_training_of_a_voice_is_found_while_it_is_under_way(store: JobStore, training: Job) -> None:
    assert training_of(store, "voice", "ada") == training
    assert training_of(store, "look", "ada") is None
    store.cancel(training.id)
    assert training_of(store, "voice", "ada") is None


def test_the_first_job_is_before_the_others(store: JobStore, redis_url: str) -> None:
    transport = Transport(Redis.from_url(redis_url))
    jobs = [store.add(talk()), store.add(talk()), store.add(talk(first=True))]
    for job in jobs:
        transport.enqueue(job)
    in_order = [rq_id(job) for job in (jobs[2], jobs[0], jobs[1])]
    queue = Redis.from_url(redis_url, decode_responses=True).lrange("rq:queue:generate", 0, -1)
    assert queue == in_order


def test_a_parked_job_goes_back_to_its_queue_and_can_run_again(store: JobStore) -> None:
    job = store.add(talk())
    with pytest.raises(NotAllowed, match="is queued"):
        store.park(job.id)
    store.begin(job.id, 1, "w")
    store.park(job.id)
    assert store.cancel_requested(job.id) == PARKED
    store.requeue(job.id, 1, PARKED)
    assert store.cancel_requested(job.id) == ""
    assert store.begin(job.id, 1, "w").state == "active"


def test_a_generation_waits_for_the_voice_it_names(
    tmp_path: Path, store: JobStore, redis_url: str, training: Job, eventually: Callable[..., object]
) -> None:
    from spinbot.settings import Settings
    from spinbot_daemon.catalogue import Catalogue
    from spinbot_daemon.requests import GenerateRequest
    from spinbot_daemon.submissions import Submissions

    settings = Settings(home=tmp_path)
    submissions = Submissions(
        settings, store, Transport(Redis.from_url(redis_url)), Catalogue(settings.folders), threading.Event().set
    )
    job = submissions.generate(GenerateRequest(prompt="hello", voice="ada"))
    assert (job.after, job.state) == (training.id, "queued")
    with pytest.raises(BadInput, match="no voice 'bob'"):
        submissions.generate(GenerateRequest(prompt="hello", voice="bob"))
