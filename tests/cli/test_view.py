"""What a person sees, from lists of events."""

from typing import Any

import pytest

from spinbot_cli.view import Eta, Lines, figures, show_until_over, sparkline

Event = dict[str, Any]


def event(kind: str = "progress", state: str = "active", message: str = "Working", **facts: Any) -> Event:
    return {
        "jobId": "gen-aaaaaa",
        "id": "1-0",
        "type": kind,
        "state": state,
        "progress": 7,
        "message": message,
        **facts,
    }


def test_every_change_of_state_is_a_line_and_steps_are_at_most_one_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    steps = [event(message=f"step {number}") for number in range(100)]
    events = [event("state", "queued", "Queued"), event("state", message="Started"), *steps]
    ended = show_until_over([*events, event("state", "completed", "Completed", result={})], Lines())
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["Queued", "Started", "Completed"]
    assert list(ended) == ["gen-aaaaaa"]


def test_notes_are_lines_and_the_snapshot_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    show_until_over([event("snapshot"), event("note", message="waiting for train-bbbbbb on cpu")], Lines())
    assert capsys.readouterr().err == "gen-aaaaaa   7% active: waiting for train-bbbbbb on cpu\n"


def test_figures_say_step_rate_loss_and_time_left() -> None:
    metrics = {"it/s": 0.5, "loss": 3.14159}
    said = figures(event(step=3, total=10, metrics=metrics, etaSeconds=72.4))
    assert said == "  3/10  2.0 s/it  loss 3.14  1:12 left"


def test_the_time_left_counts_down_and_follows_a_jump_gently() -> None:
    eta = Eta()
    assert eta.smoothed(100, now=0) == 100
    assert eta.smoothed(90, now=10) == pytest.approx(90)
    assert eta.smoothed(180, now=10) == pytest.approx(108)
    assert eta.smoothed(None, now=11) == pytest.approx(108)


@pytest.mark.parametrize(
    ("values", "drawn"), [([1.0], "▁"), ([0.0, 1.0], "▁█"), ([3.0, 2.0, 1.0, 0.0], "█▆▃▁"), ([1.0] * 100, "▁" * 16)]
)
def test_a_sparkline_shows_the_run_of_the_loss(values: list[float], drawn: str) -> None:
    assert sparkline(values) == drawn
