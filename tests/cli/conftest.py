"""The CLI is tested against a real gateway; jobs are moved by the tests themselves, in the store."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from real_gateway import gateway, until_closed, watch_buffer  # noqa: F401

from spinbot.events import Event
from spinbot.jobs import Completed, Job, Status, TalkSpec, new_job
from spinbot.store import JobStore

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def spinbot() -> Run:
    """`spinbot(words…)`: typed in a shell that is no terminal."""

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "spinbot_cli", *words],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


class Moved:
    """A job that is moved by hand."""

    def __init__(self, store: JobStore) -> None:
        self.store = store
        self.job: Job = store.add(new_job(TalkSpec(prompt="a red robot", say="hello", scene="a red robot")))
        self.id = self.job.id

    def begin(self) -> Moved:
        self.store.begin(self.id, 1, "w")
        return self

    def step(self, step: int, total: int, **metrics: float) -> Moved:
        event = Event(
            job_id=self.id,
            type="progress",
            state="active",
            progress=100 * step // total,
            message="Working",
            stage="work",
            step=step,
            total=total,
            metrics=metrics or None,
        )
        self.store.emit(event)
        return self

    def end(self, status: Status | None = None) -> Moved:
        result = {"path": "/made/video.mp4", "file": "video.mp4", "warnings": []}
        self.store.finish(self.id, 1, status or Completed(result=result))  # type: ignore[arg-type]
        return self


@pytest.fixture
def moved(store: JobStore) -> Callable[[], Moved]:
    return lambda: Moved(store)
