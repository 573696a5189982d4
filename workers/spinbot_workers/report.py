"""All that a job body sees of the outside world."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


class StopRequested(BaseException):
    """The job is to stop now. A BaseException, so that no `except Exception` of a library eats it."""


class Report(Protocol):
    """Where a job body says how far it is. Any call may raise StopRequested: let it through."""

    def step(
        self,
        stage: str,
        step: int,
        total: int,
        message: str = "",
        *,
        metrics: Mapping[str, float] | None = None,
        preview: Path | None = None,
    ) -> None:
        """`step` of `total` steps of `stage` are behind us. Cheap: call it at every step, it throttles itself."""

    def note(self, message: str) -> None:
        """One line for the log and for whoever watches."""


@dataclass
class Recorder:
    """A Report that remembers, and stops the job at `stop_at`, a (stage, step)."""

    stop_at: tuple[str, int] | None = None
    steps: list[tuple[str, int, int, dict[str, float]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def step(
        self,
        stage: str,
        step: int,
        total: int,
        message: str = "",
        *,
        metrics: Mapping[str, float] | None = None,
        preview: Path | None = None,
    ) -> None:
        self.steps.append((stage, step, total, dict(metrics or {})))
        if self.stop_at == (stage, step):
            raise StopRequested

    def note(self, message: str) -> None:
        self.notes.append(message)
