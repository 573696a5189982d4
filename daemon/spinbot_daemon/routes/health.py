"""Is it up, and how is it doing."""

from __future__ import annotations

import json
import time

from fastapi import APIRouter
from redis.exceptions import RedisError
from starlette.responses import HTMLResponse, PlainTextResponse

import spinbot
from spinbot.home import Home
from spinbot_daemon.answers import Answer
from spinbot_daemon.docs_page import docs_page
from spinbot_daemon.metrics import CONTENT_TYPE, exposition
from spinbot_daemon.routes.services import Use

router = APIRouter(tags=["health"])


@router.get("/health")
def health(use: Use) -> Answer:
    """Open to all: nothing of the user's is in it. `problems` are for people."""
    try:
        workers, broker = len(use.store.workers()), "up"
    except RedisError:
        workers, broker = 0, "down"
    problems = _problems(use.settings.folders)
    answer = {
        "status": "ok" if broker == "up" else "degraded",  # it answers; `problems` may still keep jobs from running
        "version": spinbot.__version__,
        "broker": broker,
        "workers": workers,
        "uptimeSeconds": round(time.monotonic() - use.started, 1),
    }
    return Answer({**answer, "problems": problems} if problems else answer)


@router.get("/metrics", response_class=PlainTextResponse)
def metrics(use: Use) -> PlainTextResponse:
    """For Prometheus."""
    names = use.settings.metrics.original_names
    text = exposition(use.store, watchers=use.hub.connected, original_names=names)
    return PlainTextResponse(text, media_type=CONTENT_TYPE)


@router.get("/docs", include_in_schema=False)
def docs(use: Use) -> HTMLResponse:
    """Every route on one page that needs no network."""
    return HTMLResponse(docs_page(), headers={"Content-Security-Policy": "default-src 'self' 'unsafe-inline'"})


def _problems(home: Home) -> list[str]:
    """What the supervisor found wrong when it started."""
    try:
        return [str(problem) for problem in json.loads((home.run / "problems.json").read_text())]
    except (OSError, ValueError):
        return []
