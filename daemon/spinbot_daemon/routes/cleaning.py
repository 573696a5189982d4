"""Making room."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from spinbot_daemon.answers import Answer
from spinbot_daemon.cleaning import clean, space
from spinbot_daemon.routes.services import Use

router = APIRouter(tags=["machine"])
MONTH = 30 * 24 * 3600.0


@router.post("/api/clean")
def clean_jobs(
    use: Use,
    older_than: Annotated[float, Query(alias="olderThan", ge=0, le=1e10, description="seconds")] = MONTH,
    dry_run: Annotated[bool, Query(alias="dryRun")] = False,
) -> Answer:
    """Remove jobs that ended longer ago, with their files; voices and looks stay."""
    return Answer(clean(use.store, use.settings.folders, older_than=older_than, dry_run=dry_run))


@router.get("/api/space")
def space_taken(use: Use) -> Answer:
    """Bytes that jobs, voices, looks and models take."""
    return Answer(space(use.settings.folders))
