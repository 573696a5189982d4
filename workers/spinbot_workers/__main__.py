"""`python -m spinbot_workers --lane train --name train-x7k2`: one warm worker."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from spinbot import logs
from spinbot.names import new_job_id
from spinbot.settings import load_settings
from spinbot.store import JobStore, connect
from spinbot.tally import observed
from spinbot_workers.device import pick_device
from spinbot_workers.warm import Warm, install
from spinbot_workers.worker import LaneWorker


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spinbot_workers")
    parser.add_argument("--lane", required=True, choices=["train", "generate"])
    parser.add_argument("--name", help="as the supervisor knows this worker")
    arguments = parser.parse_args()
    settings = load_settings()
    logs.start(settings.log_level, settings.log_format)
    logging.getLogger("rq").setLevel(logging.WARNING)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Before torch is loaded. OpenMP's threads wait for each other by spinning; when another program takes a core, they
    # spin for one that cannot run: measured here with both cores shared, a picture in 20 s instead of 1.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    retry = Retry(ExponentialBackoff(cap=1.0, base=0.05), 5)
    warm = Warm(
        settings=settings,
        store=JobStore(connect(settings.broker_url(), retry=retry, socket_timeout=30)),
        name=arguments.name or new_job_id(arguments.lane),
        lane=arguments.lane,
        device=pick_device(settings.device),
    )
    warm.models.on_load = lambda what, seconds: warm.store.count_up(observed(f"load:{what}", seconds))
    install(warm)
    worker = LaneWorker(warm, Redis.from_url(settings.broker_url(), retry=retry))
    worker.start_beating()
    preload(warm.lane)
    worker.work(logging_level="WARNING")
    with contextlib.suppress(RedisError):  # it is going: an entry that cannot be deleted ends by itself
        warm.store.forget_worker(warm.name)


def preload(lane: str) -> None:
    """Import what the lane's jobs need before the first one waits for it."""
    if lane == "train":
        import spinbot_workers.train
    else:
        import spinbot_workers.generate  # noqa: F401


if __name__ == "__main__":
    main()
