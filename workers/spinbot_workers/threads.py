"""How many threads a training step gets: as many as make it faster, and no more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

import torch

TRIED = 2
"""Steps with each choice at the start of a round; the faster of them counts, since the first one warms caches up."""
ROUND = 50
"""Steps until it is tried again: what else the machine does changes."""


class Threads:
    """Tries all threads and one thread by the clock, and keeps what is faster.

    Two threads that share their cores with other programs wait for each other at every operation: on a busy two-core
    machine a step of the voice took 3.5 s with two threads and 1.3 s with one. On a free one two are faster.
    """

    def __init__(self, device: str) -> None:
        self._all = torch.get_num_threads()
        self._tries = [self._all, 1] if device == "cpu" and self._all > 1 else []
        self._seconds: dict[int, float] = {}

    def __enter__(self) -> Threads:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        torch.set_num_threads(self._all)

    @contextmanager
    def step(self, number: int) -> Iterator[None]:
        """Around the work of step `number` of this run, from 0."""
        place = number % ROUND
        if not self._tries:
            yield
            return
        if place == 0:
            self._seconds = {}
        if place < TRIED * len(self._tries):
            count = self._tries[place // TRIED]
        else:
            count = min(self._seconds, key=lambda tried: self._seconds[tried])
        torch.set_num_threads(count)
        began = time.perf_counter()
        yield
        took = time.perf_counter() - began
        if place < TRIED * len(self._tries):
            self._seconds[count] = min(took, self._seconds.get(count, took))
