"""Jobs that exist: list, one, cancel, retry, log, files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from spinbot.jobs import Kind, State
from spinbot_daemon.answers import Answer
from spinbot_daemon.requests import GenerateRequest, TrainRequest
from spinbot_daemon.routes.services import Use
from spinbot_daemon.routes.submit import IdempotencyKey, body_of, read_json

router = APIRouter(tags=["jobs"])
JobId = Annotated[str, Path(description="train-7f3k2q or gen-7f3k2q")]
CHUNK = 1 << 16
CHANGES = {"anyOf": [TrainRequest.model_json_schema(), GenerateRequest.model_json_schema()]}


@router.get("/api/status/{job_id}")
def status(job_id: JobId, use: Use) -> Answer:
    """Where a job stands."""
    return Answer(use.jobs.status(use.jobs.get(job_id)))


@router.get("/api/jobs")
def jobs(
    use: Use,
    state: State | None = None,
    kind: Kind | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Answer:
    """Newest first."""
    return Answer({"jobs": use.jobs.newest(state=state, kind=kind, limit=limit)})


@router.get("/api/jobs/{job_id}")
def job(job_id: JobId, use: Use) -> Answer:
    """Everything about one, with its spec."""
    return Answer(use.jobs.wire(use.jobs.get(job_id), spec=True))


@router.delete("/api/jobs/{job_id}", status_code=202)
def cancel(job_id: JobId, use: Use) -> Answer:
    """A queued job is cancelled at once; an active one is asked to stop."""
    cancelled = use.jobs.cancel(job_id)
    return Answer({"jobId": cancelled.id, "state": cancelled.state}, status_code=202)


@router.post("/api/jobs/{job_id}/retry", status_code=202)
def retry(job_id: JobId, use: Use, fresh: bool = False) -> Answer:
    """A new job for the same request, from the last checkpoint unless `fresh`."""
    again = use.submissions.retry(use.jobs.get(job_id), fresh=fresh)
    return Answer({"jobId": again.id, "status": again.state, "retryOf": job_id}, status_code=202)


@router.post("/api/jobs/{job_id}/rerun", status_code=202, openapi_extra=body_of(CHANGES, required=False))
async def rerun(job_id: JobId, request: Request, use: Use, idempotency_key: IdempotencyKey = None) -> Answer:
    """A new job for the same request, with what the body changes of it: the same to the bit when it is empty."""
    body = await request.body()
    changes = await run_in_threadpool(read_json, body) if body else {}
    job = await run_in_threadpool(use.jobs.get, job_id)
    again = await run_in_threadpool(use.submissions.rerun, job, changes, idempotency_key)
    return Answer({"jobId": again.id, "status": again.state}, status_code=202)


@router.get("/api/jobs/{job_id}/logs", response_class=StreamingResponse)
def logs(job_id: JobId, use: Use, offset: Annotated[int, Query(ge=0, le=2**62)] = 0) -> StreamingResponse:
    """What the job printed and logged, from byte `offset` on; empty when there is nothing more yet."""
    return StreamingResponse(_read_from(use.jobs.log(job_id), offset), media_type="text/plain; charset=utf-8")


def _read_from(path: FilePath, offset: int) -> Iterator[bytes]:
    try:
        file = path.open("rb")
    except FileNotFoundError:  # it has not begun
        return
    with file:
        file.seek(offset)
        while chunk := file.read(CHUNK):
            yield chunk


@router.get("/api/jobs/{job_id}/files/{name:path}", response_class=FileResponse)
def file(job_id: JobId, name: str, use: Use) -> FileResponse:
    """A file the job made; ranges are served, so that a player can seek."""
    # An open page of a browser must not run what is in it.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; media-src 'self'"}
    return FileResponse(use.jobs.file(job_id, name), headers=headers)
