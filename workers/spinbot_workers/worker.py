"""The RQ worker of one lane: in process, so that models stay loaded between jobs.

RQ's SimpleWorker sends no heartbeat during a job, cannot stop one, and ends at the first broken connection. Each is
mended here; the store stays the truth of what runs (see docs/decisions/0002-rq-is-transport.md).
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import FrameType
from typing import Any

import psutil
from redis import Redis
from redis.exceptions import ConnectionError as BrokerDown
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as BrokerSlow
from rq import Queue, SimpleWorker
from rq.job import Job as RqJob
from rq.serializers import JSONSerializer
from rq.timeouts import TimerDeathPenalty

from spinbot.errors import NotAllowed
from spinbot_workers.device import device_load
from spinbot_workers.run import LEAVING, fail_now
from spinbot_workers.warm import Warm

BEAT = 5.0
"""Seconds between heartbeats."""
HEARTBEAT_TTL = 15
PAUSE_POLL = 0.25
MEMORY_POLL = 0.5

RUN_JOB = "spinbot_workers.run.run_job"

log = logging.getLogger(__name__)


class OurJob(RqJob):
    """RQ runs whatever function an entry names. Who can write to the broker must not be able to run code here."""

    success_callback = failure_callback = stopped_callback = None

    def perform(self) -> Any:
        if self.func_name != RUN_JOB:
            raise NotAllowed(f"{self.id} names {self.func_name!r}; only {RUN_JOB} is run here")
        return super().perform()


class LaneWorker(SimpleWorker):
    """Takes jobs of one queue. One queue, because BLMOVE on one queue can be recovered and BLPOP on two cannot."""

    death_penalty_class = TimerDeathPenalty

    def __init__(self, warm: Warm, connection: Redis) -> None:
        queue = Queue(warm.lane, connection=connection, serializer=JSONSerializer, job_class=OurJob)
        super().__init__([queue], name=warm.name, connection=connection, serializer=JSONSerializer, job_class=OurJob)
        self.log_job_description = False
        self.warm = warm
        self._at: RqJob | None = None
        self._over = threading.Event()

    # -- beats

    def start_beating(self) -> None:
        threading.Thread(target=self._beat_until_over, name="beat", daemon=True).start()

    def _beat_until_over(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            self._end_when_too_large()
            if time.monotonic() >= due:
                due = time.monotonic() + BEAT
                try:
                    self.beat()
                except RedisError as error:
                    log.warning("no heartbeat: %s", error)
            self._over.wait(MEMORY_POLL)

    def _end_when_too_large(self) -> None:
        """A process that grew past its limit ends itself with the figures, before the kernel ends another one."""
        limit, used = self.warm.settings.max_rss_mb, psutil.Process().memory_info().rss >> 20
        if limit and used > limit:
            fail_now(self.warm, f"the worker used {used} MB of memory, {limit} MB are allowed")
            os._exit(77)

    def beat(self) -> None:
        """Say that this worker lives, to the store and, during a job, to RQ."""
        warm, rss = self.warm, psutil.Process().memory_info().rss
        facts = {
            "lane": warm.lane,
            "pid": str(os.getpid()),
            "host": warm.host,
            "device": warm.device,
            "job": warm.job_id,
            "models": " ".join(warm.models.names()),
            "rssMb": str(rss >> 20),
            "beat": f"{time.time():.1f}",
        }
        warm.store.beat(warm.name, facts | device_load(warm.device))
        if warm.reporter is not None and (steps := warm.reporter.take_steps()):
            warm.store.count_up({f"steps:{warm.lane}": steps})
        job, execution = self._at, self.execution
        if job is not None and execution is not None:
            self.maintain_heartbeats(job, execution)

    def get_heartbeat_ttl(self, job: RqJob, working_time: float = 0.0) -> int:
        return HEARTBEAT_TTL

    # -- taking and running

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[RqJob, Queue] | None:
        self._wait_while_paused()
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def _wait_while_paused(self) -> None:
        while not self._stop_requested:
            try:
                if self.warm.lane not in self.warm.store.paused():
                    return
            except RedisError as error:
                log.warning("cannot see whether %s is paused: %s", self.warm.lane, error)
            time.sleep(PAUSE_POLL)

    def execute_job(self, job: RqJob, queue: Queue) -> None:
        self._wait_while_paused()  # it may have been waiting for a job since before the pause
        self._at = job
        try:
            super().execute_job(job, queue)
        except (BrokerDown, BrokerSlow) as error:
            # The job's end is in the store; only RQ's own bookkeeping is missing. Models stay warm.
            log.warning("broken connection after the job: %s", error)
            self._wait_for_broker()
        finally:
            self._at = None
        if self.warm.worn:
            log.warning("memory ran out; the next job gets a fresh process")
            self._stop_requested = True

    def _wait_for_broker(self) -> None:
        while not self._stop_requested:
            try:
                self.connection.ping()
                return
            except (BrokerDown, BrokerSlow):
                time.sleep(0.5)

    # -- leaving

    def _install_signal_handlers(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in a terminal reaches the supervisor, which decides
        signal.signal(signal.SIGTERM, self._leave)

    def _leave(self, signum: int, frame: FrameType | None) -> None:
        if self.warm.leaving:
            os._exit(76)  # asked twice: at once; the supervisor queues the job again
        self.warm.leaving = True
        self._stop_requested = True
        if self.warm.reporter is not None:
            self.warm.reporter.ask_to_stop(LEAVING)
        else:
            raise SystemExit(0)

    def teardown(self) -> None:
        self._over.set()
        super().teardown()
