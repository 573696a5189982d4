"""Nothing that was answered 202 is forgotten: jobs of dead workers are queued again, queued ones are in a queue."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Container, Mapping

from spinbot.errors import NotAllowed, NotFound
from spinbot.jobs import KINDS, Active, Cancelled, Job
from spinbot.store import PARKED, JobStore
from spinbot_daemon.after import may_run
from spinbot_daemon.transport import Transport, rq_id

MISSING_SECONDS = 10.0
"""A worker of another machine whose entry has been missing for this long, and in two sweeps running, is dead.

Longer than the 5 s between two beats: after a pause of the broker all entries are gone, and each worker that lives
must have had the time to write its own again.
"""
EVERYTHING = 1_000_000

log = logging.getLogger(__name__)


class Recovery:
    """What the supervisor does about jobs whose worker is gone. Safe to run in several supervisors at once.

    Args:
        clock: seconds, monotonic: no clock that jumps back declares a worker dead.
    """

    def __init__(self, store: JobStore, transport: Transport, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._transport = transport
        self._clock = clock
        self._missing_since: dict[str, float] = {}
        self._asked_since: dict[tuple[str, int], float] = {}

    def worker_died(self, worker: str, why: str) -> list[Job]:
        """Queue again, or fail at the second death, what `worker` was at. Returns those jobs."""
        return self._lose(lambda name: name == worker, why)

    def start(self, *, ours_alone: bool) -> None:
        """At the daemon's start: whatever ran before under this home is dead.

        Args:
            ours_alone: the broker is the embedded one, so that no worker of another machine can be at work.
        """
        known = self._store.workers()

        def dead(worker: str) -> bool:
            return ours_alone or _is_dead_here(known.get(worker, {}))

        self._lose(dead, "the daemon ended while the job ran", with_daemon=True)
        self.reconcile()

    def sweep(self, alive: Container[str]) -> None:
        """Every few seconds: lose jobs of workers that have stopped beating, enqueue what is in no queue.

        Args:
            alive: workers known to live because they are our children; a stalled beat does not kill them.
        """
        known = self._store.workers()
        active = {job.status.worker for job in self._active() if isinstance(job.status, Active)}
        missing = {worker for worker in active if worker not in known and worker not in alive}
        now = self._clock()
        gone = {w for w in missing if now - self._missing_since.get(w, now) >= MISSING_SECONDS}
        self._missing_since = {worker: self._missing_since.get(worker, now) for worker in missing - gone}
        for worker in sorted(gone):
            self.worker_died(worker, f"the worker {worker} stopped answering")
        self.reconcile()

    def end_hung(self, ours: Container[str], within: float) -> list[str]:
        """End jobs that were asked to stop and have not for `within` seconds; the workers that are to be killed.

        A worker ends itself when its job does not listen (`Reporter`), but not one whose every thread stands still: in
        C code that keeps the interpreter's lock, or stopped by a signal. The end is written first, so that the death
        that follows does not queue the job again.
        """
        asked: dict[tuple[str, int], float] = {}
        hung: list[str] = []
        for job in self._active():
            if not isinstance(job.status, Active) or job.status.worker not in ours:
                continue
            reason = self._store.cancel_requested(job.id)
            if not reason:
                continue
            now, key = self._clock(), (job.id, job.attempt)
            asked[key] = self._asked_since.get(key, now)
            if now - asked[key] >= within and self._end_hung_job(job, reason):
                hung.append(job.status.worker)
        self._asked_since = asked
        return hung

    def _end_hung_job(self, job: Job, reason: str) -> bool:
        def change() -> Job:
            if reason == PARKED:
                return self._store.requeue(job.id, job.attempt, reason)
            status = Cancelled(reason=f"{reason} (its process had to be killed)")
            return self._store.finish(job.id, job.attempt, status)

        moved = self._quietly(job, change)
        if moved is not None:
            log.warning("%s attempt %d did not stop when asked; it is %s", job.id, job.attempt, moved.state)
        return moved is not None

    def reconcile(self) -> None:
        """Enqueue every queued job that is in no queue, oldest first.

        One that a worker is just picking up is in none either, and is enqueued once too often: `store.begin` lets
        only the first take it.
        """
        for kind in KINDS:
            queued = self._store.newest(state="queued", kind=kind, limit=EVERYTHING)
            waiting = self._transport.waiting(kind) if queued else frozenset()
            missing = [job for job in queued if rq_id(job) not in waiting and may_run(self._store, job)]
            again = [job for job in missing if job.started is not None]  # go to the front: newest first
            for job in again + [job for job in reversed(missing) if job.started is None]:
                log.info("%s attempt %d was in no queue", job.id, job.attempt)
                self._transport.enqueue(job)

    def hand_back(self, workers: Container[str], why: str) -> None:
        """Queue again, without counting it against the job, what we ourselves interrupted."""
        for job in self._active():
            if isinstance(job.status, Active) and job.status.worker in workers:
                self._quietly(job, lambda job=job: self._store.requeue(job.id, job.attempt, why))  # type: ignore[misc]

    def _lose(self, dead: Callable[[str], bool], why: str, *, with_daemon: bool = False) -> list[Job]:
        lost: list[Job] = []
        for job in self._active():
            if not isinstance(job.status, Active) or not dead(job.status.worker):
                continue
            worker = job.status.worker
            moved = self._quietly(
                job,
                lambda job=job: self._store.lost(job.id, job.attempt, why, with_daemon=with_daemon),  # type: ignore[misc]
            )
            self._store.forget_worker(worker)
            if moved is None:
                continue
            log.warning("%s attempt %d: %s; it is %s", job.id, job.attempt, why, moved.state)
            lost.append(moved)
            if moved.state == "queued":
                self._transport.enqueue(moved)
        return lost

    @staticmethod
    def _quietly(job: Job, change: Callable[[], Job]) -> Job | None:
        try:
            return change()
        except (NotAllowed, NotFound) as error:  # it ended, or another supervisor was first
            log.info("%s: %s", job.id, error)
            return None

    def _active(self) -> list[Job]:
        return self._store.newest(state="active", limit=EVERYTHING)


def _is_dead_here(facts: Mapping[str, str]) -> bool:
    """Whether the worker ran on this machine and its process is gone. Unknown is not dead: the sweep decides."""
    if facts.get("host") != socket.gethostname() or not facts.get("pid", "").isdigit():
        return False
    try:
        os.kill(int(facts["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
