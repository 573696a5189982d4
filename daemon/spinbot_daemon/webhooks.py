"""Telling a URL that a job is over: signed, tried again for a day, and never forgotten by a restart."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
from redis.exceptions import RedisError

from spinbot.errors import JobNotFound
from spinbot.jobs import Job
from spinbot.store import JobStore

LEASE = 60.0
"""Seconds a try may take before another process may make it."""
GIVE_UP = 24 * 3600.0
LONGEST_PAUSE = 3600.0
LOOK_EVERY = 1.0
TIMEOUT = httpx.Timeout(15, connect=5)

log = logging.getLogger(__name__)


def checked_webhook(url: str) -> None:
    """Raises ValueError: it is no http or https URL, or holds a password, which would end in logs."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise ValueError("should be an http or https URL")
    if parts.username or parts.password:
        raise ValueError("should hold no password: deliveries are signed, see spinbot token --webhook")


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """`sha256=` and the hex HMAC-SHA256 of `{timestamp}.{body}`: an old delivery cannot be sent again as a new one."""
    return "sha256=" + hmac.new(secret.encode(), b"%d." % timestamp + body, hashlib.sha256).hexdigest()


def pause_after(tries: int, spread: Callable[[], float] = random.random) -> float:
    """Seconds until the next try: 1, 2, 4 … up to an hour, each longer by up to a half, so that they do not march."""
    return float(min(LONGEST_PAUSE, 2 ** (tries - 1)) * (1 + spread() / 2))


class Webhooks:
    """Sends what is in the store's outbox.

    Args:
        wire: a job as `GET /api/jobs/{id}` answers.
    """

    def __init__(self, store: JobStore, secret: str, wire: Callable[[Job], dict[str, Any]]) -> None:
        self._store = store
        self._secret = secret
        self._wire = wire
        self._wake = asyncio.Event()

    def look(self) -> None:
        """Something may be due now."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        # Straight to where the user said: no proxy of the environment, and no redirect to somewhere else.
        async with httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, follow_redirects=False) as client:
            while True:
                try:
                    due = await asyncio.to_thread(self._store.due, time.time(), LEASE)
                    await asyncio.gather(*(self._tell(client, job_id) for job_id in due))
                except RedisError as error:
                    log.warning("the outbox cannot be read: %s", error)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), LOOK_EVERY)
                self._wake.clear()

    async def _tell(self, client: httpx.AsyncClient, job_id: str) -> None:
        try:
            job = await asyncio.to_thread(self._store.get, job_id)
        except JobNotFound:  # cleaned away meanwhile
            await asyncio.to_thread(self._store.told, job_id, {}, None)
            return
        assert job.webhook is not None
        before = await asyncio.to_thread(self._store.webhook, job_id)
        tries = int(before.get("tries", 0)) + 1
        fault = await self._post(client, job, job.webhook, tries)
        facts: dict[str, Any] = {"tries": tries, "delivered": fault is None}
        again: float | None = None
        if fault is None:
            facts["deliveredAt"] = time.time()
        else:
            facts["error"] = fault
            if time.time() - job.status.since < GIVE_UP:
                again = time.time() + pause_after(tries)
                log.info("%s: its webhook was not told (%s); again in %.0f s", job_id, fault, again - time.time())
            else:
                log.warning("%s: its webhook was not told in %d tries (%s); giving up", job_id, tries, fault)
        await asyncio.to_thread(self._store.told, job_id, facts, again)

    async def _post(self, client: httpx.AsyncClient, job: Job, url: str, tries: int) -> str | None:
        """What went wrong, None when the receiver answered 2xx."""
        facts = await asyncio.to_thread(self._wire, job)
        body = json.dumps({"type": "job.ended", "job": facts}, separators=(",", ":")).encode()
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "spinbot",
            "X-Spinbot-Delivery": f"{job.id}.{job.attempt}",
            "X-Spinbot-Try": str(tries),
            "X-Spinbot-Timestamp": str(timestamp),
            "X-Spinbot-Signature": signature(self._secret, timestamp, body),
        }
        try:
            async with client.stream("POST", url, content=body, headers=headers) as answer:  # its body is not read
                return None if answer.is_success else f"HTTP {answer.status_code}"
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"[:200]
