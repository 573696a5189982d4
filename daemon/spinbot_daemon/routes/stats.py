"""Figures of the past."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from spinbot_daemon.answers import Answer
from spinbot_daemon.routes.services import Use
from spinbot_daemon.stats import stats

router = APIRouter(tags=["machine"])


@router.get("/api/stats")
def figures(use: Use, since: Annotated[float, Query(gt=0, le=1e9, description="seconds")] = 7 * 86_400.0) -> Answer:
    """Throughput, waiting and duration of each queue."""
    return Answer(stats(use.store, since=since))
