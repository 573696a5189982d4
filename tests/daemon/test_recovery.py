"""Jobs of dead workers are queued again, and what is queued is in a queue."""

from __future__ import annotations

import os
import socket
import subprocess

import pytest
from redis import Redis

from spinbot.jobs import Job, TalkSpec, new_job
from spinbot_daemon.recovery import MISSING_SECONDS, Recovery
from spinbot_daemon.transport import Transport, rq_id


@pytest.fixture
def transport(redis_url, redis):
    with Redis.from_url(redis_url) as client:
        yield Transport(client)


@pytest.fixture
def clock():
    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    return Clock()


@pytest.fixture
def recovery(store, transport, clock):
    return Recovery(store, transport, clock=clock)


@pytest.fixture
def job(store) -> Job:
    return store.add(new_job(TalkSpec(prompt="hi", say="hi", scene="")))


def test_a_dead_workers_job_is_queued_again_with_the_next_attempt(recovery, store, transport, job):
    store.begin(job.id, 1, "w")
    recovery.worker_died("w", "the worker w was killed by SIGKILL")
    again = store.get(job.id)
    assert (again.state, again.attempt) == ("queued", 2)
    assert again.status.reason == "the worker w was killed by SIGKILL"
    assert transport.waiting("generate") == {rq_id(again)}


def test_the_second_death_fails_it_with_the_reason(recovery, store, transport, job):
    for attempt in (1, 2):
        store.begin(job.id, attempt, "w")
        recovery.worker_died("w", "the worker w was killed by SIGKILL")
    failed = store.get(job.id)
    assert failed.state == "failed"
    assert "SIGKILL" in failed.status.error
    assert "2 of 2" in failed.status.error


def test_other_workers_jobs_are_left_alone(recovery, store, job):
    store.begin(job.id, 1, "other")
    recovery.worker_died("w", "gone")
    assert store.get(job.id).state == "active"


def test_what_is_in_no_queue_is_enqueued_oldest_first_and_once(recovery, store, transport, redis_url):
    jobs = [store.add(new_job(TalkSpec(prompt="hi", say="hi", scene=""))) for _ in range(3)]
    recovery.reconcile()
    recovery.reconcile()
    with Redis.from_url(redis_url) as client:
        assert [one.decode() for one in client.lrange("rq:queue:generate", 0, -1)] == [rq_id(job) for job in jobs]


def test_one_that_had_begun_goes_to_the_front(recovery, store, transport, job, redis_url):
    store.begin(job.id, 1, "w")
    other = store.add(new_job(TalkSpec(prompt="hi", say="hi", scene="")))
    transport.enqueue(other)
    again = store.requeue(job.id, 1, "the worker was asked to leave")
    recovery.reconcile()
    with Redis.from_url(redis_url) as client:
        assert [one.decode() for one in client.lrange("rq:queue:generate", 0, -1)] == [rq_id(again), rq_id(other)]


def test_a_worker_elsewhere_is_dead_when_it_has_been_silent_for_long(recovery, store, clock, job):
    store.begin(job.id, 1, "far")
    recovery.sweep(alive=())
    clock.now = MISSING_SECONDS - 1
    recovery.sweep(alive=())
    assert store.get(job.id).state == "active"
    clock.now = MISSING_SECONDS + 1
    recovery.sweep(alive=())
    assert (store.get(job.id).state, store.get(job.id).attempt) == ("queued", 2)


def test_a_worker_that_beats_again_is_alive(recovery, store, clock, job):
    store.begin(job.id, 1, "far")
    recovery.sweep(alive=())
    store.beat("far", {"lane": "generate"})
    clock.now = MISSING_SECONDS + 1
    recovery.sweep(alive=())
    store.forget_worker("far")
    clock.now += 1
    recovery.sweep(alive=())
    assert store.get(job.id).state == "active"


def test_a_child_that_stalls_is_not_dead(recovery, store, clock, job):
    store.begin(job.id, 1, "mine")
    for now in (0, 20, 40):
        clock.now = now
        recovery.sweep(alive={"mine"})
    assert store.get(job.id).state == "active"


def test_at_the_start_all_that_ran_under_the_embedded_broker_is_lost(recovery, store, job):
    store.begin(job.id, 1, "w")
    store.beat("w", {"lane": "generate"})
    recovery.start(ours_alone=True)
    assert (store.get(job.id).state, store.get(job.id).attempt) == ("queued", 2)


def test_at_the_start_with_a_broker_elsewhere_only_our_dead_are_lost(recovery, store):
    process = subprocess.Popen(["true"])
    process.wait()
    ended, alive, far = (store.add(new_job(TalkSpec(prompt="hi", say="hi", scene=""))) for _ in range(3))
    host = socket.gethostname()
    for job, worker, facts in (
        (ended, "a", {"host": host, "pid": str(process.pid)}),
        (alive, "b", {"host": host, "pid": str(os.getpid())}),
        (far, "c", {"host": "elsewhere", "pid": str(process.pid)}),
    ):
        store.begin(job.id, 1, worker)
        store.beat(worker, facts)
    recovery.start(ours_alone=False)
    assert [store.get(job.id).state for job in (ended, alive, far)] == ["queued", "active", "active"]


def test_what_we_interrupted_does_not_count_against_the_job(recovery, store, job):
    store.begin(job.id, 1, "w")
    recovery.hand_back({"w"}, "the daemon was stopped")
    assert (store.get(job.id).state, store.get(job.id).attempt) == ("queued", 1)


def test_a_worker_of_ours_that_does_not_stop_when_asked_is_to_be_killed_and_its_job_is_cancelled(
    recovery, store, clock, job
):
    store.begin(job.id, 1, "mine")
    assert recovery.end_hung({"mine"}, 22) == []
    clock.now = 100.0  # running for long is no reason; being asked is
    store.cancel(job.id)
    assert recovery.end_hung({"mine"}, 22) == []
    clock.now = 121.0
    assert recovery.end_hung({"mine"}, 22) == []
    clock.now = 122.0
    assert recovery.end_hung({"mine"}, 22) == ["mine"]
    assert store.get(job.id).status.reason == "cancelled by the user (its process had to be killed)"
    recovery.worker_died("mine", "the worker mine was killed by SIGKILL")
    assert store.get(job.id).state == "cancelled"


def test_a_hung_worker_of_another_machine_is_not_ours_to_kill(recovery, store, clock, job):
    store.begin(job.id, 1, "far")
    store.cancel(job.id)
    for now in (0.0, 60.0):
        clock.now = now
        assert recovery.end_hung({"mine"}, 22) == []
    assert store.get(job.id).state == "active"


def test_a_hung_job_that_was_to_be_parked_is_queued_again(recovery, store, clock, job):
    store.begin(job.id, 1, "mine")
    store.park(job.id)
    recovery.end_hung({"mine"}, 22)
    clock.now = 22.0
    assert recovery.end_hung({"mine"}, 22) == ["mine"]
    assert (store.get(job.id).state, store.get(job.id).attempt) == ("queued", 1)
