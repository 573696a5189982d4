"""A child process of the supervisor: dies with it, writes to a rotated log, is started again with growing pauses."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before the first, second, … start after a quick death."""
QUICK = 30.0
"""A child that lived longer than this starts again from the first pause."""

log = logging.getLogger(__name__)
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(eq=False)
class Child:
    """One that is kept running.

    Args:
        command: makes the command, and whatever must be in place for it, before every start.
        on_exit: called from a thread of its own when the process has ended.
    """

    name: str
    command: Callable[[], Sequence[str]]
    log_file: Path
    on_exit: Callable[[Child], None]
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0
    quick_deaths: int = 0
    started: float = 0.0

    def start(self) -> None:
        """Start it. From the main thread: the kernel kills the child when the thread that started it ends."""
        parent = os.getpid()
        self.process = subprocess.Popen(
            self.command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **self.environment},
            pass_fds=self.pass_fds,
            start_new_session=True,  # Ctrl-C in a terminal reaches the supervisor, which decides
            preexec_fn=lambda: _die_with(parent),
        )
        self.started = time.monotonic()
        self.starts += 1
        log.info("%s started, pid %d", self.name, self.process.pid)
        assert self.process.stdout is not None
        threading.Thread(target=self._copy_output, args=(self.process.stdout,), daemon=True).start()
        threading.Thread(target=self._wait, args=(self.process,), daemon=True).start()

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self.started

    def pause(self) -> float:
        """Seconds to wait before the next start, given how long it lived."""
        if self.age > QUICK:
            self.quick_deaths = 0
        self.quick_deaths += 1
        return PAUSES[min(self.quick_deaths, len(PAUSES)) - 1]

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)

    def said(self) -> str:
        """How it ended, for people."""
        code = self.process.returncode if self.process else None
        if code is None:
            return "is running"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self.on_exit(self)

    def _copy_output(self, output: IO[bytes]) -> None:
        """Everything it prints goes to its log, tracebacks and a dying server's last words included."""
        handler = rotating(self.log_file)
        with output:
            for line in output:
                text = line.decode(errors="replace").rstrip("\n")
                handler.handle(logging.LogRecord(self.name, logging.INFO, "", 0, "%s", (text,), None))
        handler.close()


def rotating(path: Path) -> RotatingFileHandler:
    """Five files of 5 MB."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return RotatingFileHandler(path, maxBytes=5_000_000, backupCount=4, encoding="utf-8", errors="replace")


def _die_with(parent: int) -> None:
    """In the new child, before its program: be killed when the supervisor is gone, however it went."""
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it went between fork and prctl
            os._exit(1)
