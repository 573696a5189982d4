"""Is it up, and how is it doing."""

from __future__ import annotations

import json
import time
from typing import Annotated

from fastapi import APIRouter, Header
from redis.exceptions import RedisError
from starlette.responses import HTMLResponse, PlainTextResponse

import spinbot
from spinbot.home import Home
from spinbot_daemon.answers import Answer
from spinbot_daemon.docs_page import docs_page
from spinbot_daemon.exposition import OPENMETRICS, TEXT
from spinbot_daemon.metrics import Here, exposition
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
def metrics(use: Use, accept: Annotated[str, Header()] = "") -> PlainTextResponse:
    """For Prometheus; OpenMetrics when that is accepted."""
    openmetrics = "application/openmetrics-text" in accept
    here = Here(use.hub.connected, use.hub.sent, use.hub.dropped, use.settings.folders.root)
    names = use.settings.metrics.original_names
    text = exposition(use.store, here, original_names=names, openmetrics=openmetrics)
    return PlainTextResponse(text, media_type=OPENMETRICS if openmetrics else TEXT)


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
