"""Jobs that wait for another: queued when that one completed, cancelled with its end as the reason when it did not."""

from __future__ import annotations

import logging

from spinbot.errors import BadInput, JobNotFound, NotAllowed
from spinbot.jobs import Job, Kind, State
from spinbot.store import JobStore

EVERYTHING = 1_000_000
UNDER_WAY: tuple[State, ...] = ("active", "queued")

log = logging.getLogger(__name__)


def checked_after(store: JobStore, job_id: str) -> str:
    """`job_id`, if it is of a job that may still complete. Raises BadInput."""
    try:
        job = store.get(job_id)
    except JobNotFound as error:
        raise BadInput(f"after: {error}", hint=error.hint) from error
    if job.state in {"failed", "cancelled"}:
        raise BadInput(f"after: {job_id} is {job.state} and will not complete", hint=f"spinbot retry {job_id}")
    return job_id


def may_run(store: JobStore, job: Job) -> bool:
    """Whether what `job` waits for is done. When it cannot be done any more, `job` is cancelled here."""
    if job.after is None:
        return True
    state: str
    try:
        state = store.get(job.after).state
    except JobNotFound:
        state = "gone"
    if state in {"failed", "cancelled", "gone"}:
        try:
            store.cancel(job.id, f"{job.after}, which it waited for, is {state}")
        except NotAllowed as error:  # another process was first
            log.info("%s: %s", job.id, error)
    return state == "completed"


def waiting_for(store: JobStore, job_id: str, kinds: tuple[Kind, ...]) -> list[Job]:
    """The queued jobs that wait for `job_id`, oldest first."""
    queued = (job for kind in kinds for job in store.newest(state="queued", kind=kind, limit=EVERYTHING))
    return sorted((job for job in queued if job.after == job_id), key=lambda job: job.created)


def training_of(store: JobStore, what: str, name: str) -> Job | None:
    """The newest training that is not over and makes the voice or look `name`."""
    jobs = [job for state in UNDER_WAY for job in store.newest(state=state, kind="train", limit=EVERYTHING)]
    mine = [job for job in jobs if job.spec.kind == what and getattr(job.spec, "name", None) == name]
    return max(mine, key=lambda job: job.created, default=None)
