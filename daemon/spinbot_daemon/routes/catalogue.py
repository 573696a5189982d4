"""What can be named in a request."""

from __future__ import annotations

from fastapi import APIRouter

from spinbot_daemon.answers import Answer
from spinbot_daemon.routes.services import Use

router = APIRouter(tags=["catalogue"])


@router.get("/api/voices")
def voices(use: Use) -> Answer:
    """The starter voice and those that were learned."""
    return Answer({"voices": use.catalogue.voices()})


@router.get("/api/looks")
def looks(use: Use) -> Answer:
    """The starter look and those that were learned."""
    return Answer({"looks": use.catalogue.looks()})


@router.get("/api/models")
def models(use: Use) -> Answer:
    """Image models on this machine."""
    return Answer({"models": use.catalogue.models()})
