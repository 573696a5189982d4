"""WebSocket /ws: see watching.py for what is said, and in which order."""

from __future__ import annotations

import asyncio
import contextlib
import re

from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from spinbot.errors import JobNotFound
from spinbot.names import JOB_ID_PATTERN
from spinbot_daemon.routes.services import services
from spinbot_daemon.watching import Watching

router = APIRouter()
MAX_JOBS = 1000
AFTER = re.compile(r"\d{1,19}(-\d{1,19})?")
NOT_FOUND, BAD_QUERY, OVER = 4404, 4400, 1000


@router.websocket("/ws")
async def watch(socket: WebSocket) -> None:
    """`?jobId=` may repeat; none means all jobs. `?after=` is the last id that was seen; 0 is from the beginning."""
    await socket.accept()  # a close code can only be said on an open connection
    query = socket.query_params
    jobs, after = query.getlist("jobId"), query.get("after")
    if unknown := sorted({*query} - {"jobId", "after", "token"}):
        await socket.close(BAD_QUERY, f"unknown {unknown[0][:40]!r}: there are jobId, after, token")
        return
    if after is not None and not AFTER.fullmatch(after):
        await socket.close(BAD_QUERY, "after is an event's id, such as 1764-0, or 0")
        return
    if len(jobs) > MAX_JOBS:
        await socket.close(BAD_QUERY, f"at most {MAX_JOBS} jobs")
        return
    if bad := next((job_id for job_id in jobs if not re.fullmatch(JOB_ID_PATTERN, job_id)), None):
        await socket.close(NOT_FOUND, f"no job {bad[:40]!r}")
        return
    await _until_over(socket, frozenset(jobs), after)


async def _until_over(socket: WebSocket, jobs: frozenset[str], after: str | None) -> None:
    use = services(socket)
    watching = asyncio.create_task(Watching(use.store, jobs, after, socket.send_text).run(use.hub))
    gone = asyncio.create_task(_gone(socket))
    try:
        await asyncio.wait({watching, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not watching.done():
            return
        with contextlib.suppress(WebSocketDisconnect):
            try:
                watching.result()
            except JobNotFound as error:
                await socket.close(NOT_FOUND, str(error))
            else:
                await socket.close(OVER)
    finally:
        for task in (watching, gone):
            task.cancel()
        await asyncio.gather(watching, gone, return_exceptions=True)


async def _gone(socket: WebSocket) -> None:
    """Return when the watcher has left. What it says is not listened to."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass
