"""A training step gets the number of threads that is faster by the clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from spinbot_workers import threads
from spinbot_workers.threads import ROUND, Threads


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def counts(monkeypatch: pytest.MonkeyPatch, seconds: dict[int, float], steps: int) -> list[int]:
    """The threads of each step on a machine where a step with n threads takes seconds[n]."""
    clock = 0.0
    monkeypatch.setattr(threads.time, "perf_counter", lambda: clock)
    found = []
    with Threads("cpu") as chosen:
        for number in range(steps):
            with chosen.step(number):
                found.append(torch.get_num_threads())
                clock += seconds[found[-1]]
    return found


def test_one_thread_on_a_busy_machine_tried_again_after_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    found = counts(monkeypatch, {1: 1.0, 2: 3.0}, ROUND + 1)
    assert found == [2, 2, *[1] * (ROUND - 2), 2]


def test_all_threads_on_a_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    assert counts(monkeypatch, {1: 1.0, 2: 0.6}, 8) == [2, 2, 1, 1, 2, 2, 2, 2]


def test_the_number_is_given_back_whatever_happens() -> None:
    chosen = Threads("cpu")
    with pytest.raises(KeyError), chosen, chosen.step(2):
        raise KeyError
    assert torch.get_num_threads() == 2


def test_a_gpu_is_left_alone() -> None:
    with Threads("cuda:0") as chosen:
        for number in range(5):
            with chosen.step(number):
                assert torch.get_num_threads() == 2
