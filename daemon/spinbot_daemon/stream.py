"""One reader of all events, and a bounded buffer for every watcher: a slow one holds up nobody."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from spinbot.events import Event
from spinbot.store import ALL_EVENTS

BLOCK_MS = 2000
BUFFER = 1000
"""Events kept for a watcher that does not keep up."""

log = logging.getLogger(__name__)


class Said:
    """An event with its wire text, made once for all watchers."""

    __slots__ = ("event", "text")

    def __init__(self, event: Event) -> None:
        self.event = event
        self.text = wire_text(event)


class Watcher:
    """What one watcher has yet to be sent."""

    def __init__(self, jobs: frozenset[str], limit: int, on_drop: Callable[[int], None] = lambda count: None) -> None:
        self.jobs = jobs
        self._on_drop = on_drop
        self._limit = limit
        self._said: deque[Said] = deque()
        self._wake = asyncio.Event()
        self._overflowed = False

    def offer(self, said: Said) -> None:
        if len(self._said) >= self._limit:
            self.overflow()
        elif not self._overflowed:
            self._said.append(said)
            self._wake.set()

    def overflow(self) -> None:
        """What it has not been sent yet is dropped; it is told so."""
        self._overflowed = True
        self._on_drop(len(self._said))
        self._said.clear()
        self._wake.set()

    def took_overflow(self) -> bool:
        """Whether something was dropped since the last time this was asked. Buffering goes on from now."""
        overflowed, self._overflowed = self._overflowed, False
        return overflowed

    async def wait(self) -> list[Said]:
        """What was said, as soon as there is something; empty after an overflow."""
        await self._wake.wait()
        self._wake.clear()
        said = list(self._said)
        self._said.clear()
        return said


class Hub:
    """Reads the stream of all jobs once and hands every event to those who asked for its job.

    Args:
        buffer: events kept for a watcher that does not keep up.
        on_over: called in a thread with the id of each job that is over.
    """

    def __init__(self, url: str, *, buffer: int = BUFFER, on_over: Callable[[str], None] = lambda job_id: None) -> None:
        self._on_over = on_over
        self.sent: Counter[str] = Counter()
        """Messages sent to watchers, by their type."""
        self.dropped = 0
        """Events that slow watchers were not sent."""
        self.listeners: list[Callable[[], None]] = []
        """Called, in the loop, when a job is over."""
        self._over: set[asyncio.Future[None]] = set()
        self._redis = Redis.from_url(
            url, decode_responses=True, socket_timeout=BLOCK_MS / 1000 + 5, retry=Retry(NoBackoff(), 0)
        )
        self._buffer = buffer
        self._watchers: dict[str, set[Watcher]] = {}  # "" is all jobs
        self._count = 0
        self._last = ""
        self._ready = asyncio.Event()

    @property
    def connected(self) -> int:
        """Watchers connected now."""
        return self._count

    @contextmanager
    def watcher(self, jobs: frozenset[str]) -> Iterator[Watcher]:
        """Buffer what is said of `jobs` from now on; of all jobs when there are none. Needs `ready`."""
        watcher = Watcher(jobs, self._buffer, self._drop)
        keys = jobs or {""}
        for key in keys:
            self._watchers.setdefault(key, set()).add(watcher)
        self._count += 1
        try:
            yield watcher
        finally:
            self._count -= 1
            for key in keys:
                self._watchers[key].discard(watcher)
                if not self._watchers[key]:
                    del self._watchers[key]

    def _drop(self, count: int) -> None:
        self.dropped += count

    async def ready(self) -> None:
        """Return once the reader knows where it stands: what is said from then on reaches every watcher."""
        await self._ready.wait()

    async def run(self) -> None:
        """Until cancelled. A broker that goes away is waited for; nothing said meanwhile is missed."""
        try:
            while True:
                try:
                    await self._read()
                except (RedisError, OSError) as error:
                    log.warning("the broker does not answer (%s); trying again", type(error).__name__)
                    await asyncio.sleep(0.1)
        finally:
            await self._redis.aclose()

    async def _read(self) -> None:
        if not self._last:
            newest = cast(list[Any], await self._redis.xrevrange(ALL_EVENTS, count=1))
            self._last = newest[0][0] if newest else "0-0"
            self._ready.set()
        while True:
            before = self._last
            rows = cast(Any, await self._redis.xread({ALL_EVENTS: before}, count=1000, block=BLOCK_MS))
            for event_id, fields in rows[0][1] if rows else ():
                self._say(event_id, fields["event"])
            if rows and len(rows[0][1]) == 1000:
                await self._notice_trimming(before)

    async def _notice_trimming(self, before: str) -> None:
        """Far behind: the oldest of what we had not read may have been dropped to make room."""
        info = await self._redis.xinfo_stream(ALL_EVENTS)
        trimmed = info["entries-added"] > info["length"]  # the stream does not tell which entries it dropped
        if trimmed and _key(str(info["first-entry"][0])) > _key(before):
            for watchers in self._watchers.values():
                for watcher in watchers:
                    watcher.overflow()

    def _heard(self, told: asyncio.Future[None]) -> None:
        self._over.discard(told)
        if not told.cancelled() and (error := told.exception()):
            log.warning("what waits for a job is looked at in the next sweep: %s", error)

    def _say(self, event_id: str, text: str) -> None:
        self._last = event_id
        try:
            event = Event.model_validate_json(text).model_copy(update={"id": event_id})
        except ValueError as error:  # of a program of another version: not worth the other events
            log.error("event %s cannot be read: %s", event_id, error)
            return
        if event.is_terminal:
            for listener in self.listeners:
                listener()
            told = asyncio.ensure_future(asyncio.to_thread(self._on_over, event.job_id))
            self._over.add(told)
            told.add_done_callback(self._heard)
        mine, everybody = self._watchers.get(event.job_id, ()), self._watchers.get("", ())
        if mine or everybody:
            said = Said(event)
            for watcher in (*mine, *everybody):
                watcher.offer(said)


def wire_text(event: Event) -> str:
    """As it goes to a watcher: camelCase, nothing that is null."""
    return event.model_dump_json(by_alias=True, exclude_none=True)


def _key(event_id: str) -> tuple[int, int]:
    milliseconds, _, sequence = event_id.partition("-")
    return int(milliseconds), int(sequence or 0)
