"""Making room: jobs that are over go, with their files; and how much everything takes."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from spinbot.home import Home
from spinbot.jobs import Job
from spinbot.store import JobStore

EVERYTHING = 1_000_000
GOING = ".removed-"


def clean(store: JobStore, home: Home, *, older_than: float, dry_run: bool) -> dict[str, Any]:
    """Remove the jobs that ended more than `older_than` seconds ago: record, events, log, checkpoints and results.

    Kept are jobs that go on, those that another waits for, and every voice, look and model.
    """
    if not dry_run:
        _finish_earlier(home)
    latest = time.time() - older_than
    going: list[dict[str, Any]] = []
    for job in _over(store):
        if job.status.since > latest:
            continue
        folder = home.job(job.id)
        size = bytes_in(folder)
        if dry_run or _remove(store, home, job):
            going.append({"jobId": job.id, "state": job.state, "ended": job.status.since, "bytes": size})
    return {"jobs": going, "bytes": sum(one["bytes"] for one in going), "dryRun": dry_run}


def space(home: Home) -> dict[str, Any]:
    """Bytes that jobs, voices, looks, models and the broker's file take, and what is free on their disk."""
    parts = {"jobs": home.jobs, "voices": home.voices, "looks": home.looks, "models": home.models,
             "broker": home.broker, "logs": home.logs}  # fmt: skip
    sizes = {name: {"count": _visible(folder), "bytes": bytes_in(folder)} for name, folder in parts.items()}
    return {"home": str(home.root), "parts": sizes, "free": shutil.disk_usage(home.root).free}


def bytes_in(folder: Path) -> int:
    """What the files of `folder` take, one with two names counted once. Links are not followed."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            try:
                found = os.lstat(os.path.join(root, name))
            except FileNotFoundError:  # it went away as we looked
                continue
            if (key := (found.st_dev, found.st_ino)) not in seen:
                seen.add(key)
                total += found.st_blocks * 512
    return total


def _visible(folder: Path) -> int:
    return sum(not path.name.startswith(".") for path in folder.iterdir()) if folder.is_dir() else 0


def _over(store: JobStore) -> list[Job]:
    """Oldest first; without those that a queued job waits for."""
    awaited = {job.after for job in store.newest(state="queued", limit=EVERYTHING)}
    states = ("completed", "failed", "cancelled")
    jobs = [job for state in states for job in store.newest(state=state, limit=EVERYTHING)]  # type: ignore[arg-type]
    return sorted((job for job in jobs if job.id not in awaited), key=lambda job: job.status.since)


def _remove(store: JobStore, home: Home, job: Job) -> bool:
    """The files go under a name that nobody asks for, then the record, then the files: no half of a job is seen."""
    folder = home.job(job.id)
    gone: Path | None = None
    if folder.is_dir() and not folder.is_symlink():
        gone = Path(tempfile.mkdtemp(dir=home.jobs, prefix=GOING))
        folder.rename(gone / job.id)
    forgotten = store.forget(job)
    if gone is not None:
        shutil.rmtree(gone)
    return forgotten


def _finish_earlier(home: Home) -> None:
    """What an earlier run was cut off at."""
    for folder in home.jobs.glob(f"{GOING}*"):
        shutil.rmtree(folder)
