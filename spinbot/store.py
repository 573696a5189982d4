"""Job records and event streams in valkey. The one module that spells its keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar, cast

from redis import Redis

from spinbot import scripts
from spinbot.errors import JobAlreadyOver, JobNotFound, NotAllowed, StaleAttempt
from spinbot.events import Event, event_key, state_event
from spinbot.jobs import (
    MAX_ATTEMPTS,
    MAX_INTERRUPTIONS,
    OVER,
    Active,
    Cancelled,
    Failed,
    Job,
    Kind,
    Queued,
    State,
    Status,
)
from spinbot.tally import EXEMPLAR, increments

ALL_EVENTS = "spinbot:events"
COUNTERS = "spinbot:counters"
OUTBOX = "spinbot:outbox"
"""Ids of jobs whose webhook has yet to be told, scored by the Unix time at which it is due."""
PAUSED = "spinbot:paused"
INDEX = "spinbot:jobs"
IDEMPOTENCY_SECONDS = 7 * 24 * 3600
PARKED = "parked: it goes on from its checkpoint when its queue is resumed"
"""What a job is asked for that is to stop, but not to end."""
WORKERS = "spinbot:workers"
"""Names of the workers: to find their entries without walking through the keys of all jobs."""
WORKER_TTL = 15
"""Seconds without a beat after which a worker's entry is gone."""

T = TypeVar("T")


def job_key(job_id: str) -> str:
    return f"spinbot:job:{job_id}"


def events_key(job_id: str) -> str:
    return f"spinbot:events:{job_id}"


def worker_key(worker: str) -> str:
    return f"spinbot:worker:{worker}"


def index_key(state: State) -> str:
    return f"{INDEX}:{state}"


class JobStore:
    """What is known of every job. Each change of state is one atomic write of record, indexes, counters and event.

    Args:
        redis: a client with `decode_responses=True`.
    """

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self._add = redis.register_script(scripts.ADD)
        self._move = redis.register_script(scripts.MOVE)
        self._forget = redis.register_script(scripts.FORGET)
        self._emit = redis.register_script(scripts.EMIT)

    # -- records

    def add(self, job: Job, *, idempotency_key: str | None = None) -> Job:
        """Keep `job`; or answer with the job that was kept under the same `idempotency_key`, unchanged."""
        once = f"spinbot:once:{idempotency_key}" if idempotency_key else job_key(job.id)
        keys = [*self._stream_keys(job.id), INDEX, index_key("queued"), COUNTERS, once]
        answer = self._add(
            keys,
            [
                job.id,
                job.model_dump_json(),
                job.kind,
                job.created,
                _json(state_event(job)),
                IDEMPOTENCY_SECONDS,
                *_pairs(increments(job)),
            ],
        )
        if answer[0] == "known":
            return self.get(answer[1])
        if answer[0] == "taken":
            raise NotAllowed(f"the id {job.id} is taken", hint="submit it again")
        return job

    def known(self, idempotency_key: str) -> Job | None:
        """The job that was kept under this key."""
        job_id = _value(self.redis.get(f"spinbot:once:{idempotency_key}"))
        return self.get(job_id) if job_id else None

    def get(self, job_id: str) -> Job:
        """Raises JobNotFound."""
        record = _value(self.redis.hget(job_key(job_id), "record"))
        if record is None:
            raise JobNotFound(job_id)
        return Job.model_validate_json(record)

    def newest(self, *, state: State | None = None, kind: Kind | None = None, limit: int = 100) -> list[Job]:
        """Newest first."""
        found: list[Job] = []
        for job_ids in self._newest(index_key(state) if state else INDEX):
            records = self._records(job_ids)
            jobs = (Job.model_validate_json(record) for record in records if record)
            found.extend(job for job in jobs if kind is None or job.kind == kind)
            if len(found) >= limit:
                break
        return found[:limit]

    def count(self, state: State) -> int:
        return self.redis.zcard(index_key(state))

    def counters(self) -> dict[str, float]:
        """Every counter since the store was made; see `tally.increments` for the names."""
        return {name: float(value) for name, value in self.tally().items() if not name.startswith(EXEMPLAR)}

    def tally(self) -> dict[str, str]:
        """The same as they are kept, with the exemplars."""
        return cast(dict[str, str], self.redis.hgetall(COUNTERS))

    def count_up(self, changes: Mapping[str, float | str]) -> None:
        """Add to counters what comes from no change of state: steps done, models loaded, workers started again."""
        if changes:
            with self.redis.pipeline() as pipe:
                for name, amount in changes.items():
                    pipe.hincrbyfloat(COUNTERS, name, float(amount))
                pipe.execute()

    def oldest_queued(self, kind: Kind, looked_at: int = 500) -> float | None:
        """Unix time at which the oldest queued job of `kind` was made, among the oldest `looked_at` of all queues."""
        rows = cast(list[tuple[str, float]], self.redis.zrange(index_key("queued"), 0, looked_at - 1, withscores=True))
        prefix = "gen-" if kind == "generate" else "train-"
        return next((score for job_id, score in rows if job_id.startswith(prefix)), None)

    def last_heard(self, limit: int = 1000) -> list[tuple[Kind, float]]:
        """Kind, and Unix time of the newest event, of each active job."""
        job_ids = cast(list[str], self.redis.zrange(index_key("active"), 0, limit - 1))
        rows = self._pipelined(lambda pipe: [pipe.hmget(job_key(job_id), ["kind", "last_id"]) for job_id in job_ids])
        return [(kind, event_key(last_id)[0] / 1000) for kind, last_id in rows if kind and last_id]

    def forget(self, job: Job) -> bool:
        """Drop the record and the events of a job that is over; its changes stay counted. Whether it was there."""
        keys = [job_key(job.id), events_key(job.id), INDEX, index_key(job.state), COUNTERS]
        return bool(self._forget(keys, [job.id, job.state, f"now:{job.kind}:{job.state}"]))

    # -- webhooks

    def due(self, now: float, lease: float, limit: int = 20) -> list[str]:
        """Jobs whose webhook is to be told now; they are due again after `lease` seconds, should we die of it."""
        job_ids = cast(list[str], self.redis.zrange(OUTBOX, "-inf", now, byscore=True, offset=0, num=limit))
        if job_ids:
            self.redis.zadd(OUTBOX, dict.fromkeys(job_ids, now + lease), xx=True)
        return job_ids

    def told(self, job_id: str, facts: Mapping[str, Any], again_at: float | None) -> None:
        """How telling the webhook went; `again_at` is when to try again, None for never."""
        with self.redis.pipeline() as pipe:
            if again_at is None:
                pipe.zrem(OUTBOX, job_id)
            else:
                pipe.zadd(OUTBOX, {job_id: again_at}, xx=True)
            if self.redis.exists(job_key(job_id)):
                pipe.hset(job_key(job_id), "webhook", json.dumps(facts))
            pipe.execute()

    def webhook(self, job_id: str) -> dict[str, Any]:
        """What `told` kept last; empty before the first try."""
        facts = _value(self.redis.hget(job_key(job_id), "webhook"))
        found: dict[str, Any] = json.loads(facts) if facts else {}
        return found

    # -- changes of state

    def begin(self, job_id: str, attempt: int, worker: str) -> Job:
        """queued -> active, once: of two workers with the same attempt the second gets StaleAttempt."""
        job = self.get(job_id)
        active = Active(worker=worker)
        started = job.started if job.started is not None else active.since
        return self._change(job.model_copy(update={"status": active, "started": started}), "queued", attempt)

    def finish(self, job_id: str, attempt: int, status: Status) -> Job:
        """active -> completed, failed or cancelled. Raises StaleAttempt or JobAlreadyOver."""
        return self._change(self.get(job_id).model_copy(update={"status": status}), "active", attempt)

    def lost(self, job_id: str, attempt: int, why: str, *, with_daemon: bool = False) -> Job:
        """The worker of this attempt is gone: queue the job again, or fail it when that was the last try.

        Args:
            with_daemon: it ended together with all the others (a power cut, a daemon killed): that is hardly the job's
                doing, and is forgiven more often.
        """
        job = self.get(job_id)
        interruptions = job.interruptions + with_daemon
        of = MAX_ATTEMPTS + min(interruptions, MAX_INTERRUPTIONS)
        if job.attempt >= of:
            error = f"{why}, on attempt {job.attempt} of {of}"
            hint = "spinbot logs shows its last lines; spinbot retry starts it again"
            return self.finish(job_id, attempt, Failed(error=error, hint=hint))
        update = {"status": Queued(reason=why), "attempt": job.attempt + 1, "interruptions": interruptions}
        return self._change(job.model_copy(update=update), "active", attempt)

    def requeue(self, job_id: str, attempt: int, why: str) -> Job:
        """active -> queued without counting against the job: its worker was asked to leave."""
        job = self.get(job_id)
        return self._change(job.model_copy(update={"status": Queued(reason=why)}), "active", attempt)

    def cancel(self, job_id: str, reason: str = "cancelled by the user") -> Job:
        """A queued job is cancelled at once; an active one is asked to stop (see `cancel_requested`).

        Raises:
            JobNotFound, JobAlreadyOver.
        """
        while True:
            job = self.get(job_id)
            if job.is_over:
                raise JobAlreadyOver(job_id, job.state)
            if job.state == "active":
                self.redis.hset(job_key(job_id), "cancel", reason)
                return self.get(job_id)
            try:
                return self._change(job.model_copy(update={"status": Cancelled(reason=reason)}), "queued", job.attempt)
            except NotAllowed:
                continue  # a worker took it between our reading and writing: look again

    def park(self, job_id: str) -> None:
        """Ask an active job to go back to its queue at its next step, from where it goes on at its checkpoint.

        Raises:
            JobNotFound, NotAllowed: it is not active.
        """
        job = self.get(job_id)
        if job.state != "active":
            raise NotAllowed(f"{job_id} is {job.state}", hint="only a running job can be parked")
        self.redis.hset(job_key(job_id), "cancel", PARKED)

    def cancel_requested(self, job_id: str) -> str:
        """The reason somebody gave, or ""."""
        return _value(self.redis.hget(job_key(job_id), "cancel")) or ""

    def _change(self, job: Job, old: State, attempt: int) -> Job:
        last = self.last(job.id)
        event = state_event(job, progress=last.progress if last else 0)
        answer = self._move(
            [*self._stream_keys(job.id), index_key(old), index_key(job.state), COUNTERS, OUTBOX],
            [
                job.id,
                old,
                attempt,
                job.state,
                job.attempt,
                job.model_dump_json(),
                _json(event),
                job.status.since if job.is_over and job.webhook else "",
                *_pairs(increments(job, old)),
            ],
        )
        match answer:
            case ["missing"]:
                raise JobNotFound(job.id)
            case ["stale", _, current]:
                raise StaleAttempt(job.id, attempt, int(current))
            case ["refused", state, _] if state in OVER:
                raise JobAlreadyOver(job.id, state)
            case ["refused", state, _]:
                raise NotAllowed(f"{job.id} is {state}, not {old}")
        return job

    # -- events

    def emit(self, event: Event) -> str:
        """Say `event` of an active job. Returns the reason when the job was asked to stop, else "".

        Raises:
            StaleAttempt: another attempt counts now, or the job is over.
        """
        answer = self._emit(self._stream_keys(event.job_id), [event.job_id, event.attempt, _json(event)])
        if answer[0] == "missing":
            raise JobNotFound(event.job_id)
        if answer[0] == "stale":
            raise StaleAttempt(event.job_id, event.attempt, int(answer[2]))
        return str(answer[2])

    def last(self, job_id: str) -> Event | None:
        """The newest event, with its id. None when the job is unknown."""
        event, event_id = cast(list[str | None], self.redis.hmget(job_key(job_id), ["last", "last_id"]))
        return _event(event, event_id or "") if event else None

    def events(self, job_id: str, after: str = "0", limit: int = 10_000) -> list[Event]:
        """What was said of the job after the id `after`, oldest first. Raises ValueError for a malformed id."""
        event_key(after)
        rows = self.redis.xrange(events_key(job_id), min=f"({after}", count=limit)
        return [_event(fields["event"], event_id) for event_id, fields in cast(list[Any], rows)]

    def trimmed_after(self, job_id: str, after: str) -> bool:
        """Whether events after the id `after` may no longer be kept.

        May be true when only events up to `after` were trimmed: the stream does not tell the last one it dropped.
        """
        if not self.redis.exists(events_key(job_id)):
            return False
        info = self.redis.xinfo_stream(events_key(job_id))
        if info["entries-added"] == info["length"]:
            return False
        return not info["length"] or event_key(str(info["first-entry"][0])) > event_key(after)

    def read_all(self, after: str, *, block_ms: int) -> list[Event]:
        """Events of all jobs after `after`, waiting up to `block_ms` for the first one. "$" means from now on."""
        rows = self.redis.xread({ALL_EVENTS: after}, count=1000, block=block_ms)
        return [_event(fields["event"], event_id) for event_id, fields in cast(Any, rows)[0][1]] if rows else []

    def newest_id(self) -> str:
        """The id of the newest event of any job; "0-0" when nothing was ever said."""
        rows = cast(list[Any], self.redis.xrevrange(ALL_EVENTS, count=1))
        return str(rows[0][0]) if rows else "0-0"

    # -- workers and lanes

    def beat(self, worker: str, facts: dict[str, str]) -> None:
        """Keep the worker's entry alive for WORKER_TTL seconds, with what it says of itself."""
        with self.redis.pipeline() as pipe:
            pipe.sadd(WORKERS, worker)
            pipe.hset(worker_key(worker), mapping=cast(Any, facts))
            pipe.expire(worker_key(worker), WORKER_TTL)
            pipe.execute()

    def workers(self) -> dict[str, dict[str, str]]:
        """The workers that beat within the last WORKER_TTL seconds, by name."""
        names = sorted(cast(set[str], self.redis.smembers(WORKERS)))
        facts = self._pipelined(lambda pipe: [pipe.hgetall(worker_key(name)) for name in names])
        if gone := [name for name, found in zip(names, facts, strict=True) if not found]:
            self.redis.srem(WORKERS, *gone)  # one that comes back writes its name again with its next beat
        return {name: found for name, found in zip(names, facts, strict=True) if found}

    def forget_worker(self, worker: str) -> None:
        self.redis.delete(worker_key(worker))

    def pause(self, lane: Kind, paused: bool) -> None:
        """A worker of a paused lane takes no new job."""
        if paused:
            self.redis.sadd(PAUSED, lane)
        else:
            self.redis.srem(PAUSED, lane)

    def paused(self) -> frozenset[str]:
        return frozenset(cast(set[str], self.redis.smembers(PAUSED)))

    # -- inside

    def _stream_keys(self, job_id: str) -> list[str]:
        return [job_key(job_id), events_key(job_id), ALL_EVENTS]

    def _records(self, job_ids: list[str]) -> list[str | None]:
        return self._pipelined(lambda pipe: [pipe.hget(job_key(job_id), "record") for job_id in job_ids])

    def _newest(self, index: str, page: int = 500) -> Iterator[list[str]]:
        start = 0
        while job_ids := cast(list[str], self.redis.zrevrange(index, start, start + page - 1)):
            yield job_ids
            start += page

    def _pipelined(self, fill: Callable[[Any], object]) -> list[Any]:
        with self.redis.pipeline(transaction=False) as pipe:
            fill(pipe)
            return pipe.execute()


def connect(url: str, **options: Any) -> Redis:
    """A client as JobStore wants it."""
    return Redis.from_url(url, decode_responses=True, **options)


def _json(event: Event) -> str:
    return event.model_dump_json(by_alias=True, exclude_none=True, exclude={"id"})


def _event(text: str, event_id: str) -> Event:
    return Event.model_validate_json(text).model_copy(update={"id": event_id})


def _pairs(changes: Mapping[str, float | str]) -> list[str | float]:
    return [part for pair in changes.items() for part in pair]


def _value(answer: object) -> str | None:
    return cast("str | None", answer)
