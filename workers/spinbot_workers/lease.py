"""One job on a device at a time: a lock file per device, held by the process that computes.

A lock of the kernel, not an entry in the broker: it ends with its process whatever killed it, and needs no clock.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

POLL = 0.1
"""Seconds between tries: flock can wait, but then no cancel would be seen."""


@contextmanager
def lease(folder: Path, device: str, job_id: str, waiting: Callable[[str], None]) -> Iterator[None]:
    """Hold `device` (`cpu`, `cuda:0`) for `job_id` until the block ends.

    Args:
        folder: where the lock files are; all workers of one machine share it.
        waiting: called with the holder's job id at every try that fails; may raise to give up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / f"{device.replace(':', '-')}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while not _locked(handle):
            waiting(os.pread(handle, 64, 0).decode(errors="replace") or "another job")
            time.sleep(POLL)
        os.ftruncate(handle, 0)
        os.pwrite(handle, job_id.encode(), 0)
        yield
    finally:
        os.close(handle)  # the lock goes with the file handle


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
