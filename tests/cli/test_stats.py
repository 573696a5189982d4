"""`spinbot stats`: the figures are those of the jobs."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from spinbot.jobs import Cancelled, Failed

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[[], Any]

pytestmark = pytest.mark.usefixtures("gateway")


@pytest.fixture
def past(moved: Make) -> None:
    moved()
    moved().begin()
    for _ in range(3):
        moved().begin().end()
    moved().begin().end(Failed(error="no"))
    moved().begin().end(Cancelled(reason="enough"))


def test_the_figures_are_the_jobs(spinbot: Run, past: None) -> None:
    found = json.loads(spinbot("stats", "--since", "1h", "--json").stdout)
    train, generate = found["queues"]
    assert (train["submitted"], train["wait"], train["duration"]) == (0, None, None)
    counts = {name: generate[name] for name in ("submitted", "queued", "active", "completed", "failed", "cancelled")}
    assert counts == {"submitted": 7, "queued": 1, "active": 1, "completed": 3, "failed": 1, "cancelled": 1}
    assert 0 <= generate["wait"]["p50"] <= generate["wait"]["p99"] <= generate["wait"]["max"]
    assert sum(part["completed"] for part in found["parts"]) == 3
    assert found["complete"] is True


def test_people_get_a_table_and_a_plot(spinbot: Run, past: None) -> None:
    done = spinbot("stats", "--plot")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["generate", "7", "3", "1", "1", "0"] in [row[:6] for row in rows]
    assert "jobs that ended" in done.stdout
    assert "\x1b[" not in done.stdout


def test_a_png_can_be_drawn(spinbot: Run, past: None, tmp_path: Path) -> None:
    target = tmp_path / "week.png"
    done = spinbot("stats", "--png", str(target))
    assert (done.returncode, done.stdout) == (0, f"{target}\n"), done.stderr
    assert Image.open(target).size == (900, 600)


@pytest.mark.parametrize("words", [("--since", "soon"), ("--since", "0s"), ("--png", "week.txt")])
def test_what_cannot_be_is_refused(spinbot: Run, words: tuple[str, ...]) -> None:
    assert spinbot("stats", *words).returncode == 2
