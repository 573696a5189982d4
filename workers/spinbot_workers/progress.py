"""From steps of stages to one percentage and an estimate of the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

SMOOTHING = 0.1
"""Weight of the newest step in the moving average of seconds a step."""


@dataclass
class Meter:
    """Where a job is in its plan.

    Args:
        plan: stage -> its share of the whole job's time, in any unit, in the order of execution.
        clock: seconds, monotonic.
    """

    plan: Mapping[str, float]
    clock: Callable[[], float] = time.monotonic
    stage: str = ""
    percent: float = 0.0
    _step: int = 0
    _seen: float = 0.0
    _pace: float | None = field(default=None)

    def advance(self, stage: str, step: int, total: int) -> None:
        """`step` of `total` steps of `stage` are behind us. `percent` never goes back."""
        now = self.clock()
        if stage != self.stage:
            self.stage, self._pace = stage, None
        elif step > self._step:
            pace = (now - self._seen) / (step - self._step)
            self._pace = pace if self._pace is None else self._pace + SMOOTHING * (pace - self._pace)
        self._step, self._seen = step, now
        whole = sum(self.plan.values())
        done = self._before(stage) + self.plan.get(stage, 0) * (step / total if total else 0)
        self.percent = max(self.percent, min(99.0, 100 * done / whole))

    @property
    def steps_per_second(self) -> float | None:
        """None before the second step of a stage."""
        return 1 / self._pace if self._pace else None

    def eta(self, step: int, total: int) -> float | None:
        """Seconds left of the whole job, or None while it would be a guess.

        The stages to come are taken to cost what the plan says in proportion to this one, which holds only when this
        one is a fair part of the whole.
        """
        share = self.plan.get(self.stage, 0) / sum(self.plan.values())
        if self._pace is None or share < 0.1:
            return None
        after = sum(self.plan.values()) - self._before(self.stage) - self.plan[self.stage]
        return self._pace * ((total - step) + total * after / self.plan[self.stage])

    def _before(self, stage: str) -> float:
        names = list(self.plan)
        return sum(self.plan[name] for name in names[: names.index(stage)]) if stage in self.plan else 0.0
