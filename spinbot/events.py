"""What a watcher is told. The original's three words (`jobId`, `progress`, `message`) are in every event."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from spinbot.jobs import OVER, Cancelled, Completed, Failed, Job, Model, State

EventType = Literal["snapshot", "state", "progress", "note", "gap"]


class Event(Model):
    """One message on the wire.

    `snapshot` is where the job stands when the watcher comes; `state` a change of state; `progress` one step;
    `note` a line of text; `gap` says that events between `after` and now are no longer kept.
    `id` orders events: a later one is greater, across all jobs. `progress` is in [0, 100].
    """

    job_id: str
    id: str = ""
    type: EventType
    state: State
    progress: int = Field(ge=0, le=100)
    message: str
    attempt: int = 1
    stage: str | None = None
    step: int | None = None
    total: int | None = None
    eta_seconds: float | None = None
    metrics: dict[str, float] | None = None
    preview: str | None = None
    result: dict[str, JsonValue] | None = None
    error: str | None = None
    hint: str | None = None

    @property
    def is_terminal(self) -> bool:
        return self.type == "state" and self.state in OVER


def state_event(job: Job, progress: int = 0) -> Event:
    """The event that says `job` has come to its present state. `progress` is kept for one that stopped early."""
    status = job.status
    match status:
        case Completed(result=result):
            return _state(job, 100, "Completed", result=result)
        case Failed(error=error, hint=hint):
            return _state(job, progress, error, error=error, hint=hint or None)
        case Cancelled(reason=reason):
            return _state(job, progress, reason, error=reason)
        case _:
            said = {"queued": "Queued", "active": "Started"}[status.state]
            return _state(job, progress, getattr(status, "reason", "") or said)


def _state(job: Job, progress: int, message: str, **facts: object) -> Event:
    return Event.model_validate(
        {
            "job_id": job.id,
            "type": "state",
            "state": job.state,
            "progress": progress,
            "message": message,
            "attempt": job.attempt,
            **facts,
        }
    )


def event_key(event_id: str) -> tuple[int, int]:
    """`1764-0` as numbers, so that ids compare as the stream orders them. Raises ValueError."""
    milliseconds, _, sequence = event_id.partition("-")
    return int(milliseconds), int(sequence or 0)
