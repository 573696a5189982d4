"""A disk that can be filled."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """`folder` on a disk of 1.5 GB of its own; False where mounting is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", "size=1500m", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode:
        yield False
        return
    try:
        yield True
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def full(folder: Path, leave: int) -> Iterator[None]:
    """All but `leave` bytes of what is free are taken."""
    ballast = fill(folder, leave)
    try:
        yield
    finally:
        ballast.unlink()


def fill(folder: Path, leave: int) -> Path:
    """A file that takes what is free but `leave` bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        while (size := shutil.disk_usage(folder).free) > leave:  # others write at the same time
            with contextlib.suppress(OSError):
                os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), max(4096, (size - leave) // 4096 * 4096))
    return ballast
