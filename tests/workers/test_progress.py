"""Percentages that never go back, and an estimate only where there is ground for one."""

import pytest

from spinbot_workers.progress import Meter

PLAN = {"load": 10, "train": 80, "preview": 10}


def run(steps: list[tuple[str, int, int, float]]) -> Meter:
    now = [0.0]
    meter = Meter(PLAN, clock=lambda: now[0])
    for stage, step, total, seconds in steps:
        now[0] += seconds
        meter.advance(stage, step, total)
    return meter


def test_the_percentage_is_the_share_of_the_plan_that_is_done() -> None:
    assert run([("train", 5, 10, 1)]).percent == pytest.approx(50)


def test_the_percentage_never_goes_back_and_100_is_left_for_the_end() -> None:
    assert run([("train", 10, 10, 1), ("load", 0, 1, 1)]).percent == pytest.approx(90)
    assert run([("preview", 1, 1, 1)]).percent == 99


def test_the_estimate_counts_the_stages_to_come() -> None:
    meter = run([("train", 0, 10, 0), ("train", 1, 10, 2), ("train", 2, 10, 2)])
    assert meter.steps_per_second == pytest.approx(0.5)
    assert meter.eta(2, 10) == pytest.approx(2 * (8 + 10 * 10 / 80))


def test_a_small_stage_says_nothing_of_the_whole() -> None:
    meter = Meter({"load": 1, "train": 99})
    meter.advance("load", 1, 2)
    meter.advance("load", 2, 2)
    assert meter.eta(2, 2) is None
