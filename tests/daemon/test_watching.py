"""Late, early, twice: every watcher sees every event once, in order, and one end."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK

from spinbot.events import Event, event_key
from spinbot.jobs import Completed, Failed, Job, TalkSpec, new_job
from spinbot.store import JobStore


@pytest.fixture
def job(store: JobStore) -> Job:
    return store.add(new_job(TalkSpec(prompt="hello", say="hello", scene="")))


def step(store: JobStore, job: Job, number: int, message: str = "Rendering") -> str:
    event = Event(
        job_id=job.id, type="progress", state="active", progress=number, message=message, step=number, total=100
    )
    store.emit(event)
    last = store.last(job.id)
    assert last is not None
    return last.id


def run_through(store: JobStore, job: Job, steps: int = 3) -> None:
    store.begin(job.id, 1, "w")
    for number in range(steps):
        step(store, job, number)
    store.finish(job.id, 1, Completed(result={"file": "video.mp4"}))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["state"] if event["type"] == "state" else event["type"] for event in events]


WHOLE = ["queued", "active", "progress", "progress", "progress", "completed"]


def test_one_who_comes_before_the_start_sees_all_and_is_closed_with_1000(gateway, store, job, until_closed):
    with gateway.watch(f"?jobId={job.id}") as watcher:
        first = json.loads(watcher.recv(timeout=5))
        assert (first["type"], first["state"], first["progress"]) == ("snapshot", "queued", 0)
        run_through(store, job)
        assert kinds(until_closed(watcher)) == WHOLE[1:]
        assert watcher.protocol.close_code == 1000


def test_one_who_comes_after_the_end_gets_a_snapshot_and_the_end_once(gateway, store, job, until_closed):
    run_through(store, job)
    with gateway.watch(f"?jobId={job.id}") as watcher:
        snapshot, end = until_closed(watcher)
    assert (snapshot["type"], snapshot["state"], snapshot["progress"]) == ("snapshot", "completed", 100)
    assert (end["type"], end["state"], end["result"]) == ("state", "completed", {"file": "video.mp4"})
    assert event_key(snapshot["id"]) < event_key(end["id"])


def test_after_0_gives_the_whole_history(gateway, store, job, until_closed):
    run_through(store, job)
    with gateway.watch(f"?jobId={job.id}&after=0") as watcher:
        snapshot, *events = until_closed(watcher)
    assert snapshot["id"] == "0"
    assert kinds(events) == WHOLE


def test_after_the_last_id_seen_nothing_is_lost_or_repeated(gateway, store, job, until_closed):
    store.begin(job.id, 1, "w")
    with gateway.watch(f"?jobId={job.id}&after=0") as watcher:
        seen = [json.loads(watcher.recv(timeout=5)) for _ in range(3)]
    for number in range(3):
        step(store, job, number)
    with gateway.watch(f"?jobId={job.id}&after={seen[-1]['id']}") as watcher:
        store.finish(job.id, 1, Completed(result={}))
        snapshot, *events = until_closed(watcher)
    assert snapshot["id"] == seen[-1]["id"]
    assert kinds(seen[1:] + events) == WHOLE


def test_the_snapshots_id_is_as_good_as_an_events(gateway, store, job, until_closed):
    store.begin(job.id, 1, "w")
    with gateway.watch(f"?jobId={job.id}") as watcher:
        snapshot = json.loads(watcher.recv(timeout=5))
    step(store, job, 1)
    store.finish(job.id, 1, Failed(error="no room"))
    with gateway.watch(f"?jobId={job.id}&after={snapshot['id']}") as watcher:
        _, *events = until_closed(watcher)
    assert kinds(events) == ["progress", "failed"]
    assert events[-1]["error"] == "no room"


def test_a_long_history_comes_whole_while_the_job_goes_on(gateway, store, job, until_closed):
    store.begin(job.id, 1, "w")
    for number in range(1200):
        step(store, job, number % 100)
    with gateway.watch(f"?jobId={job.id}&after=0") as watcher:
        for number in range(100):
            step(store, job, number)
        store.finish(job.id, 1, Completed(result={}))
        events = until_closed(watcher)[1:]
    ids = [event_key(event["id"]) for event in events]
    assert ids == sorted(set(ids))
    assert len(events) == 2 + 1300 + 1


def test_two_jobs_on_one_socket_end_when_both_are_over(gateway, store, job, until_closed):
    other = store.add(new_job(TalkSpec(prompt="two", say="two", scene="")))
    with gateway.watch(f"?jobId={job.id}&jobId={other.id}") as watcher:
        snapshots = {json.loads(watcher.recv(timeout=5))["jobId"] for _ in range(2)}
        assert snapshots == {job.id, other.id}
        run_through(store, job)
        run_through(store, other)
        events = until_closed(watcher)
    for one in (job, other):
        assert kinds([event for event in events if event["jobId"] == one.id]) == WHOLE[1:]


def test_without_a_job_all_are_watched_and_it_stays_open(gateway, store, job):
    with gateway.watch() as watcher:
        assert json.loads(watcher.recv(timeout=5))["jobId"] == job.id
        run_through(store, job)
        assert kinds([json.loads(watcher.recv(timeout=5)) for _ in range(5)]) == WHOLE[1:]
        other = store.add(new_job(TalkSpec(prompt="two", say="two", scene="")))
        assert json.loads(watcher.recv(timeout=5))["jobId"] == other.id


def test_all_jobs_after_0_replays_every_job(gateway, store, job):
    run_through(store, job)
    with gateway.watch("?after=0") as watcher:
        assert kinds([json.loads(watcher.recv(timeout=5)) for _ in range(6)]) == WHOLE


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?jobId=gen-zzzzzz", 4404),
        ("?jobId=../../etc", 4404),
        ("?after=yesterday", 4400),
        ("?after=1-2-3", 4400),
        ("?jobid=gen-zzzzzz", 4400),
    ],
)
def test_what_cannot_be_watched_is_said_in_the_close_code(gateway, query, code):
    with gateway.watch(query) as watcher, pytest.raises(ConnectionClosedError) as closed:
        watcher.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_trimmed_history_is_said_to_be_missing(gateway, store, redis, job, until_closed):
    run_through(store, job, steps=50)
    redis.xtrim(f"spinbot:events:{job.id}", maxlen=5, approximate=False)
    with gateway.watch(f"?jobId={job.id}&after=0") as watcher:
        gap, snapshot, *events = until_closed(watcher)
    assert (gap["type"], snapshot["type"]) == ("gap", "snapshot")
    assert len(events) == 5
    assert kinds(events)[-1] == "completed"


class TestSlowWatcher:
    @pytest.fixture
    def watch_buffer(self) -> int:
        return 20

    def test_is_told_what_it_missed_and_holds_up_nobody(self, gateway, store, job, eventually):
        """It does not read: socket buffers and its own buffer fill, then events are dropped for it, and only for it."""
        store.begin(job.id, 1, "w")
        narrow = socket.socket(socket.AF_UNIX)
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(gateway.socket)
        from websockets.sync.client import connect

        slow = connect(f"ws://localhost/ws?jobId={job.id}", sock=narrow, max_queue=1)
        with slow, gateway.watch(f"?jobId={job.id}") as quick:
            assert json.loads(slow.recv(timeout=5))["type"] == "snapshot"
            assert json.loads(quick.recv(timeout=5))["type"] == "snapshot"
            for number in range(3000):
                step(store, job, number % 100, "x" * 500)
                event = json.loads(quick.recv(timeout=5))
                assert event["step"] == number % 100
            store.finish(job.id, 1, Completed(result={}))
            assert json.loads(quick.recv(timeout=5))["state"] == "completed"
            events = [json.loads(text) for text in slow]
        types = [event["type"] for event in events]
        assert "gap" in types
        assert types[types.index("gap") + 1] == "snapshot"
        assert [event["type"] for event in events if event["state"] == "completed" and event["type"] == "state"] == [
            "state"
        ]


def test_the_count_of_watchers_falls_when_they_leave(gateway, job, eventually):
    def connected() -> int:
        text = gateway.http.get("/metrics").text
        return int(re.search(r"^websocket_clients_connected (\d+)$", text, re.MULTILINE)[1])

    with gateway.watch(f"?jobId={job.id}") as watcher:
        watcher.recv(timeout=5)
        assert connected() == 1
    eventually(lambda: connected() == 0, "the watcher is gone")


def test_a_watcher_may_talk_and_is_not_listened_to(gateway, store, job, until_closed):
    with gateway.watch(f"?jobId={job.id}") as watcher:
        watcher.send("hello?")
        watcher.recv(timeout=5)
        run_through(store, job)
        until_closed(watcher)
        with pytest.raises(ConnectionClosedOK):
            watcher.recv(timeout=5)


def test_a_thousand_jobs_can_be_asked_for_at_once(gateway, store):
    """Their names make a line longer than websockets takes by itself."""
    jobs = [store.add(new_job(TalkSpec(prompt="hi", say="hi", scene=""))).id for _ in range(1000)]
    with gateway.watch("?" + "&".join(f"jobId={job_id}" for job_id in jobs)) as watcher:
        seen = {json.loads(watcher.recv(timeout=10))["jobId"] for _ in jobs}
    assert seen == set(jobs)


def test_broken_utf8_closes_its_sender_with_1007_and_is_one_line_in_the_log(gateway, job, caplog):
    with gateway.watch(f"?jobId={job.id}") as watcher:
        watcher.recv(timeout=5)
        watcher.send(b"\xff\xfb\xff", text=True)
        with pytest.raises(ConnectionClosedError):
            watcher.recv(timeout=5)
        assert watcher.protocol.close_code == 1007
    assert "Invalid UTF-8" in caplog.text
    assert "Traceback" not in caplog.text
