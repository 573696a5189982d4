"""What one watcher is told, in which order: snapshot, what it missed, what happens; every event once."""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import TypeVar, cast

from redis.exceptions import RedisError

from spinbot.errors import JobNotFound
from spinbot.events import Event, event_key
from spinbot.jobs import OVER
from spinbot.store import ALL_EVENTS, JobStore
from spinbot_daemon.stream import Hub, Watcher, wire_text

PAGE = 500
SNAPSHOTS = 500
"""Most snapshots for a watcher of all jobs."""
Key = tuple[int, int]
T = TypeVar("T")

log = logging.getLogger(__name__)


class Watching:
    """One watcher's view of some jobs, or of all when `jobs` is empty.

    Ids order all events of all jobs, so "already sent" is one comparison per job (`_seen`), whether an event comes
    from the job's stream or from the hub. The hub is listened to before the streams are read: between the two
    nothing can be lost.

    Args:
        after: the id of the last event the watcher saw; None for one that is new.
        send: puts one message on the wire, and waits while the wire is full.
    """

    def __init__(
        self, store: JobStore, jobs: frozenset[str], after: str | None, send: Callable[[str], Awaitable[None]]
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._after = after
        self._to_wire = send
        self._sent: Counter[str] = Counter()
        self._seen: dict[str, Key] = {}
        self._open = set(jobs)

    async def run(self, hub: Hub) -> None:
        """Until every asked-for job is over; for ever when all jobs were asked for. Raises JobNotFound."""
        self._sent = hub.sent
        await hub.ready()
        with hub.watcher(self._jobs) as watcher:
            await self._ask(self._check)
            await self._begin()
            while self._unfinished:
                said = await watcher.wait()
                if watcher.took_overflow():
                    await self._after_overflow(watcher)
                for each in said:
                    await self._tell(each.event, each.text)

    @property
    def _unfinished(self) -> bool:
        return bool(self._open) or not self._jobs

    def _check(self) -> None:
        for job_id in self._jobs:
            if self._store.last(job_id) is None:
                raise JobNotFound(job_id)

    async def _begin(self) -> None:
        for text in await self._ask(self._snapshots):
            await self._send(text, "gap" if '"type":"gap"' in text else "snapshot")
        await self._replay()

    async def _after_overflow(self, watcher: Watcher) -> None:
        """Say that something is missing, where things stand now, and go on from there."""
        for job_id in sorted(self._open) or ["*"]:
            gap = await self._ask(lambda job_id=job_id: self._gap(job_id))  # type: ignore[misc]
            await self._send(wire_text(gap), "gap")
        self._after = None
        await self._begin()
        while watcher.took_overflow():
            await self._replay()

    # -- from the store; these run in a thread

    def _snapshots(self) -> list[str]:
        return list(self._snapshots_of_these() if self._jobs else self._snapshots_of_all())

    def _snapshots_of_these(self) -> Iterator[str]:
        for job_id in sorted(self._open):
            last = self._store.last(job_id)
            if last is None:
                raise JobNotFound(job_id)
            if self._after is not None and self._store.trimmed_after(job_id, self._after):
                yield wire_text(self._gap(job_id, last))
            over = last.state in OVER
            # The terminal event of a job that is over is still to come: its id must be after the snapshot's.
            start = self._after or (_just_before(last.id) if over else last.id)
            self._seen[job_id] = event_key(start)
            yield wire_text(_snapshot(last, start))
            if over and event_key(last.id) <= self._seen[job_id]:
                self._open.discard(job_id)  # the watcher saw its end before it came back

    def _snapshots_of_all(self) -> Iterator[str]:
        start = self._after or self._store.newest_id()
        self._seen["*"] = event_key(start)
        if self._after is not None and _all_trimmed_after(self._store, self._after):
            yield wire_text(self._gap("*"))
        jobs = [*self._store.newest(state="active"), *self._store.newest(state="queued", limit=SNAPSHOTS)]
        for job in jobs:
            if last := self._store.last(job.id):
                yield wire_text(_snapshot(last, start))

    def _gap(self, job_id: str, last: Event | None = None) -> Event:
        last = last or (self._store.last(job_id) if job_id != "*" else None)
        seen = self._seen.get(job_id)
        facts = {
            "job_id": job_id,
            "id": f"{seen[0]}-{seen[1]}" if seen else self._after or "0-0",
            "type": "gap",
            "state": last.state if last else "active",
            "progress": last.progress if last else 0,
            "message": "events are missing here: they are no longer kept, or came faster than they were read",
        }
        return Event.model_validate(facts)

    def _history(self) -> Iterator[Event]:
        """What is kept of the jobs after what was seen, oldest first."""
        if not self._jobs:
            return self._pages(lambda after: self._store_all(after), self._seen["*"])
        return heapq.merge(
            *(
                self._pages(lambda after, job_id=job_id: self._store.events(job_id, after, PAGE), self._seen[job_id])  # type: ignore[misc]
                for job_id in self._open
            ),
            key=lambda event: event_key(event.id),
        )

    def _store_all(self, after: str) -> list[Event]:
        rows = cast(
            "list[tuple[str, dict[str, str]]]", self._store.redis.xrange(ALL_EVENTS, min=f"({after}", count=PAGE)
        )
        return [Event.model_validate_json(row["event"]).model_copy(update={"id": name}) for name, row in rows]

    @staticmethod
    def _pages(read: Callable[[str], list[Event]], seen: Key) -> Iterator[Event]:
        while page := read(f"{seen[0]}-{seen[1]}"):
            yield from page
            seen = event_key(page[-1].id)

    # -- on the wire

    async def _send(self, text: str, kind: str) -> None:
        await self._to_wire(text)
        self._sent[kind] += 1

    async def _replay(self) -> None:
        while self._unfinished:
            history = self._history()
            try:
                while events := await asyncio.to_thread(lambda: list(islice(history, PAGE))):  # noqa: B023
                    for event in events:
                        await self._tell(event, wire_text(event))
                return
            except RedisError as error:  # a broken-off generator is at its end: begin again after what was seen
                log.warning("the broker does not answer a watcher (%s)", type(error).__name__)
                await asyncio.sleep(0.2)

    async def _tell(self, event: Event, text: str) -> None:
        who = event.job_id if self._jobs else "*"
        key = event_key(event.id)
        if key <= self._seen[who] or (self._jobs and who not in self._open):
            return
        await self._send(text, event.type)
        self._seen[who] = key
        if event.is_terminal:
            self._open.discard(event.job_id)

    async def _ask(self, question: Callable[[], T]) -> T:
        """The store's answer, waiting for a broker that is being started again."""
        while True:
            try:
                return await asyncio.to_thread(question)
            except RedisError as error:
                log.warning("the broker does not answer a watcher (%s)", type(error).__name__)
                await asyncio.sleep(0.2)


def _snapshot(last: Event, event_id: str) -> Event:
    return last.model_copy(update={"type": "snapshot", "id": event_id})


def _just_before(event_id: str) -> str:
    milliseconds, sequence = event_key(event_id)
    return f"{milliseconds}-{sequence - 1}" if sequence else f"{milliseconds - 1}-{2**64 - 1}"


def _all_trimmed_after(store: JobStore, after: str) -> bool:
    if not store.redis.exists(ALL_EVENTS):
        return False
    info = store.redis.xinfo_stream(ALL_EVENTS)
    trimmed = info["entries-added"] > info["length"]  # the stream does not tell which entries it dropped
    return trimmed and event_key(str(info["first-entry"][0])) > event_key(after)
