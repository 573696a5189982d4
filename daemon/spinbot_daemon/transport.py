"""Handing jobs to the workers through RQ. The store is the truth: to enqueue a job twice is harmless."""

from __future__ import annotations

from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from spinbot.jobs import KINDS, Job, Kind

RUN_JOB = "spinbot_workers.run.run_job"
"""A name, not an import: the daemon never loads what the workers load."""
FAILURE_TTL = 3600


class Transport:
    """The RQ queues `train` and `generate`.

    Args:
        redis: a client without `decode_responses`, as RQ wants it.
    """

    def __init__(self, redis: Redis) -> None:
        self._queues = {kind: Queue(kind, connection=redis, serializer=JSONSerializer) for kind in KINDS}

    def enqueue(self, job: Job) -> None:
        """Queue the present attempt of `job`; one that had begun before, or is to be first, goes to the front.

        `job_timeout=-1` because RQ kills a job after 180 s unless told otherwise; `result_ttl=0` because results are
        in the store.
        """
        self._queues[job.kind].enqueue_call(
            RUN_JOB,
            args=[job.id, job.attempt],
            timeout=-1,
            result_ttl=0,
            failure_ttl=FAILURE_TTL,
            job_id=rq_id(job),
            at_front=job.first or job.started is not None,
        )

    def waiting(self, kind: Kind) -> frozenset[str]:
        """The RQ ids in the queue of `kind`."""
        return frozenset(self._queues[kind].get_job_ids())


def rq_id(job: Job) -> str:
    """RQ's id of the present attempt. RQ takes letters, digits, `-` and `_`."""
    return f"{job.id}_{job.attempt}"
