"""What Tab offers: ids and names, from a daemon that runs. It never starts one, and soon gives up."""

from __future__ import annotations

import http.client
from collections.abc import Callable

from spinbot.errors import SpinbotError
from spinbot_cli.client import Client

WITHIN = 0.2
"""Seconds; after that a shell feels stuck."""

Completer = Callable[[str], list[str]]


def _offered(path: str, list_of: str, key: str) -> Completer:
    def offer(incomplete: str) -> list[str]:
        try:
            found = Client(within=WITHIN).ask("GET", path)[list_of]
        except (SpinbotError, OSError, http.client.HTTPException, ValueError, KeyError):
            return []  # nothing to offer; an error here would be printed into the line being typed
        return [item[key] for item in found if item[key].startswith(incomplete)]

    return offer


any_job = _offered("/api/jobs?limit=200", "jobs", "jobId")
queued_job = _offered("/api/jobs?state=queued&limit=200", "jobs", "jobId")
active_job = _offered("/api/jobs?state=active&limit=200", "jobs", "jobId")
failed_job = _offered("/api/jobs?state=failed&limit=200", "jobs", "jobId")
voice = _offered("/api/voices", "voices", "name")
look = _offered("/api/looks", "looks", "name")
model = _offered("/api/models", "models", "name")


def job_under_way(incomplete: str) -> list[str]:
    return active_job(incomplete) + queued_job(incomplete)
