"""The queues and who works on them: pause, resume, and the figures that spinbot top shows."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from spinbot.errors import NotAllowed
from spinbot.jobs import KINDS, STATES, Kind
from spinbot_daemon.answers import Answer
from spinbot_daemon.routes.services import Services, Use

router = APIRouter(tags=["queues"])
NUMBERS: dict[str, type[int] | type[float]] = {"pid": int, "rssMb": int, "beat": float}


@router.get("/api/queues")
def queues(use: Use) -> Answer:
    """Each queue with what is in it, the workers, and how many watch."""
    workers = [{"name": name, **_numbers(facts)} for name, facts in sorted(use.store.workers().items())]
    counts = {state: use.store.count(state) for state in STATES}
    return Answer({"queues": _queues(use), "workers": workers, "jobs": counts, "watchers": use.hub.connected})


@router.post("/api/queues/{queue}/pause")
def pause(queue: Kind, use: Use, now: bool = False) -> Answer:
    """Its worker takes no new job. A running one finishes or, with `now`, goes back to the queue at its next step."""
    use.store.pause(queue, True)
    parked: list[str] = []
    for job in use.store.newest(state="active", kind=queue) if now else []:
        try:
            use.store.park(job.id)
            parked.append(job.id)
        except NotAllowed:  # it ended by itself
            continue
    return Answer({"queue": queue, "paused": True, "parked": parked})


@router.post("/api/queues/{queue}/resume")
def resume(queue: Kind, use: Use) -> Answer:
    """Its worker goes on."""
    use.store.pause(queue, False)
    return Answer({"queue": queue, "paused": False})


def _queues(use: Services) -> list[dict[str, Any]]:
    paused = use.store.paused()
    found: list[dict[str, Any]] = []
    for kind in KINDS:
        queued = len(use.store.newest(state="queued", kind=kind, limit=10_000))
        active = [job.id for job in use.store.newest(state="active", kind=kind)]
        found.append({"queue": kind, "paused": kind in paused, "queued": queued, "active": active})
    return found


def _numbers(facts: dict[str, str]) -> dict[str, Any]:
    """What a worker says of itself; the store keeps texts."""
    return {name: NUMBERS[name](value) if name in NUMBERS else value for name, value in facts.items()}
