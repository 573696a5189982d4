"""The Report of a real job: events to the store from a thread of its own, and the way back for a request to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

from redis.exceptions import ConnectionError as BrokerDown
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as BrokerSlow

from spinbot.errors import JobNotFound, StaleAttempt
from spinbot.events import Event, EventType
from spinbot.jobs import Job
from spinbot.store import JobStore
from spinbot_workers.progress import Meter
from spinbot_workers.report import StopRequested

POLL = 0.25
"""Seconds between looks for a request to stop while the job itself says nothing."""

log = logging.getLogger(__name__)


class Reporter:
    """Sends at most `per_second` progress events, always the newest; keeps every note.

    The job's thread never waits for the broker: while that is down the newest state is kept and sent when it is back.

    Args:
        plan: see `Meter`.
        grace: seconds the job has to stop once asked; then `abandon(reason)` is called, from the sender's thread.
    """

    def __init__(
        self,
        store: JobStore,
        job: Job,
        plan: Mapping[str, float],
        *,
        per_second: float = 10,
        grace: float = 20,
        abandon: Callable[[str], None] | None = None,
    ) -> None:
        self.stop_reason = ""
        self.superseded = False
        self._steps = 0
        self.timed_out = False
        self._began = time.monotonic()
        self._store = store
        self._job = job
        self._meter = Meter(plan)
        self._interval = 1 / per_second
        self._grace = grace
        self._abandon = abandon
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closed = threading.Event()
        self._newest: Event | None = None
        self._notes: deque[Event] = deque(maxlen=1000)
        self._preview: str | None = None
        self._asked_at = 0.0
        self._thread = threading.Thread(target=self._send_all, name=f"report-{job.id}", daemon=True)
        self._thread.start()

    # -- the job's side

    def step(
        self,
        stage: str,
        step: int,
        total: int,
        message: str = "",
        *,
        metrics: Mapping[str, float] | None = None,
        preview: Path | None = None,
    ) -> None:
        self.check()
        self._meter.advance(stage, step, total)
        self._steps += step > 0
        figures = {name: round(float(value), 5) for name, value in (metrics or {}).items()}
        if (rate := self._meter.steps_per_second) is not None:
            figures["it/s"] = round(rate, 3)
        eta = self._meter.eta(step, total)
        if preview is not None:
            self._preview = f"/api/jobs/{self._job.id}/files/{preview.name}"
        event = self._event(
            "progress",
            message or stage.capitalize(),
            stage=stage,
            step=step,
            total=total,
            metrics=figures or None,
            eta_seconds=None if eta is None else round(eta, 1),
            preview=self._preview,
        )
        with self._lock:
            self._newest = event
        self._wake.set()

    def note(self, message: str) -> None:
        self.check()
        log.info("%s", message)
        with self._lock:
            self._notes.append(self._event("note", message))
        self._wake.set()

    def check(self) -> None:
        """Raises StopRequested once somebody asked this attempt to stop."""
        if self.stop_reason:
            raise StopRequested(self.stop_reason)

    # -- the worker's side

    def ask_to_stop(self, reason: str) -> None:
        """The next `step` or `note` raises StopRequested."""
        if not self.stop_reason:
            self._asked_at = time.monotonic()
            self.stop_reason = reason

    def close(self) -> None:
        """Send what is pending, while the broker answers, and end the thread."""
        self._closed.set()
        self._wake.set()
        self._thread.join()

    def take_steps(self) -> int:
        """Steps since this was asked last."""
        steps, self._steps = self._steps, 0
        return steps

    @property
    def percent(self) -> int:
        return int(self._meter.percent)

    def _event(self, kind: EventType, message: str, **facts: object) -> Event:
        return Event.model_validate(
            {
                "job_id": self._job.id,
                "type": kind,
                "state": "active",
                "progress": self.percent,
                "message": message,
                "attempt": self._job.attempt,
                **facts,
            }
        )

    # -- the sender's thread

    def _send_all(self) -> None:
        while not self._closed.is_set():
            self._wake.wait(POLL)
            self._wake.clear()
            self._send()
            self._end_a_late_job()
            self._end_a_hung_job()
            self._closed.wait(self._interval)
        self._send()

    def _send(self) -> None:
        with self._lock:
            pending = [*self._notes, *([self._newest] if self._newest else [])]
            self._notes.clear()
            self._newest = None
        sent = 0
        try:
            for event in pending:
                reason = self._store.emit(event)
                sent += 1
            if not pending:
                reason = self._store.cancel_requested(self._job.id)
        except (BrokerDown, BrokerSlow, ResponseError) as error:
            log.warning("%s: the broker does not take events (%s); they are kept", self._job.id, type(error).__name__)
            self._put_back(pending[sent:])
            self._closed.wait(1.0)
        except (StaleAttempt, JobNotFound) as error:
            self.superseded = True
            self.ask_to_stop(str(error))
        else:
            if reason:
                self.ask_to_stop(reason)

    def _put_back(self, events: list[Event]) -> None:
        with self._lock:
            self._notes.extendleft(reversed([event for event in events if event.type == "note"]))
            if self._newest is None:
                self._newest = next((event for event in events if event.type == "progress"), None)

    def _end_a_late_job(self) -> None:
        limit = self._job.timeout
        if limit is not None and not self.stop_reason and time.monotonic() - self._began > limit:
            self.timed_out = True
            self.ask_to_stop(f"ran longer than its timeout of {limit:g} s")

    def _end_a_hung_job(self) -> None:
        if self._abandon and self.stop_reason and time.monotonic() - self._asked_at > self._grace:
            self._abandon(self.stop_reason)
