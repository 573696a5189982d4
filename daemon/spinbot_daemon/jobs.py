"""What can be done with jobs that exist, and how they look on the wire."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from spinbot.errors import BadInput, JobNotFound, NotFound
from spinbot.events import Event, state_event
from spinbot.home import Home
from spinbot.jobs import Cancelled, Completed, Failed, Job, Kind, State, TalkSpec
from spinbot.logs import trace_id
from spinbot.names import JOB_ID_PATTERN
from spinbot.store import JobStore

FILE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class Jobs:
    """The store keeps them; their files are under the home."""

    def __init__(self, store: JobStore, home: Home) -> None:
        self._store = store
        self._home = home

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        if not re.fullmatch(JOB_ID_PATTERN, job_id):
            raise JobNotFound(job_id[:64])
        return self._store.get(job_id)

    def newest(self, *, state: State | None, kind: Kind | None, limit: int) -> list[dict[str, Any]]:
        return [self.wire(job) for job in self._store.newest(state=state, kind=kind, limit=limit)]

    def cancel(self, job_id: str) -> Job:
        """Raises JobNotFound, JobAlreadyOver."""
        return self._store.cancel(self.get(job_id).id)

    def wire(self, job: Job, *, spec: bool = False) -> dict[str, Any]:
        """`job` as it is answered; times are Unix seconds."""
        last = self._store.last(job.id) or state_event(job)
        answer = self.status(job, last)
        answer |= {"kind": job.kind, "what": job.spec.kind, "name": _name(job), "created": job.created}
        if job.started is not None:
            answer["started"] = job.started
        if job.is_over:
            answer["ended"] = job.status.since
        if isinstance(job.spec, TalkSpec) and job.spec.voice:
            answer["voice"] = job.spec.voice
        if job.trace:
            answer["trace"] = trace_id(job.trace)
        if job.after:
            answer["after"] = job.after
        if job.retry_of:
            answer["retryOf"] = job.retry_of
        if spec:
            answer["spec"] = job.spec.wire()
            if job.webhook:
                answer["webhook"] = {"url": job.webhook, **self._store.webhook(job.id)}
        return answer

    def status(self, job: Job, last: Event | None = None) -> dict[str, Any]:
        last = last or self._store.last(job.id) or state_event(job)
        answer: dict[str, Any] = {
            "jobId": job.id,
            "state": job.state,
            "progress": last.progress,
            "message": last.message,
            "attempt": job.attempt,
        }
        match job.status:
            case Completed(result=result):
                answer |= {"result": result, "progress": 100}
            case Failed(error=error, hint=hint):
                answer |= {"error": error, "hint": hint}
            case Cancelled(reason=reason):
                answer["error"] = reason
        return answer

    def log(self, job_id: str) -> Path:
        """Where its log is, or will be."""
        return self._home.job(self.get(job_id).id) / "log.txt"

    def file(self, job_id: str, name: str) -> Path:
        """A file the job made. Raises NotFound listing those there are, BadInput for a name that is none of ours."""
        folder = self._home.job(self.get(job_id).id)
        if not FILE_PATTERN.fullmatch(name):
            raise BadInput(f"{name[:60]!r} is not a file name", hint="a file of a job has no folder in its name")
        path = folder / name
        if path.is_symlink() or not path.is_file():
            there = sorted(p.name for p in folder.glob("[!.]*") if p.is_file() and not p.is_symlink())
            raise NotFound(f"{job_id} has no file {name!r}", hint=f"there are: {', '.join(there) or 'none yet'}")
        return path


def _name(job: Job) -> str:
    if isinstance(job.spec, TalkSpec):
        text = job.spec.prompt or job.spec.say
        return text if len(text) <= 60 else text[:59] + "…"
    return job.spec.name
