"""A command at the end of a job, and the picture as it forms."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pexpect
import pytest
from PIL import Image

from spinbot.events import Event
from spinbot.home import Home
from spinbot.jobs import Cancelled, Failed

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[[], Any]

pytestmark = pytest.mark.usefixtures("gateway")


@pytest.fixture
def teller(tmp_path: Path) -> Path:
    """A command that writes down its arguments, one a line."""
    script = tmp_path / "teller"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {tmp_path}/told\n')
    script.chmod(0o755)
    return script


def told(teller: Path) -> list[str]:
    return (teller.parent / "told").read_text().splitlines()


def test_the_command_is_run_once_for_each_job_with_its_end(spinbot: Run, moved: Make, teller: Path) -> None:
    good, bad = moved().begin().end(), moved().begin().end(Failed(error='$(touch x) "; rm -rf'))
    done = spinbot("watch", good.id, bad.id, "--on-done", f"{teller} {{id}}:{{state}} 'why: {{error}}' {{result}}")
    assert done.returncode == 1
    lines = told(teller)
    assert sorted(lines) == sorted(
        [f"{good.id}:completed", "why: ", "/made/video.mp4", f"{bad.id}:failed", 'why: $(touch x) "; rm -rf', ""]
    )


def test_waiting_for_the_first_runs_it_for_that_one(spinbot: Run, moved: Make, teller: Path) -> None:
    over, other = moved().begin().end(Cancelled(reason="enough")), moved().begin()
    done = spinbot("wait", "--any", over.id, other.id, "--on-done", f"{teller} {{id}} {{kind}} {{name}}")
    assert done.returncode == 130
    assert told(teller) == [over.id, "generate", "a red robot"]


def test_one_that_fails_is_said_and_the_exit_code_stays_the_jobs(spinbot: Run, moved: Make) -> None:
    job = moved().begin().end()
    done = spinbot("wait", job.id, "--on-done", "false {id}")
    assert done.returncode == 0
    assert "--on-done: false ended with 1" in done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [("echo {nme}", "{nme}"), ("no-such-command {id}", "no command"), ("echo 'x", "quotation"), ("", "no command")],
)
def test_a_bad_command_is_refused_before_anything_is_submitted(spinbot: Run, text: str, said: str) -> None:
    done = spinbot("generate", "-p", "hello", "--on-done", text)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert spinbot("jobs").stdout == "no jobs\n"


def test_with_detach_nobody_is_there_to_run_it(spinbot: Run) -> None:
    done = spinbot("generate", "-p", "hello", "--detach", "--on-done", "echo {id}")
    assert done.returncode == 2
    assert "--webhook" in done.stderr


HALF_BLOCK = "▀"


def watched(job: Any, *words: str, **environment: str) -> Any:
    return pexpect.spawn(
        sys.executable,
        ["-m", "spinbot_cli", "watch", job.id, *words],
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", **environment},
        dimensions=(30, 100),
        encoding="utf-8",
        timeout=20,
    )


@pytest.fixture
def drawing(moved: Make, home: Home) -> Any:
    """A job half-way through its portrait, which is red so far."""
    job = moved().begin()
    folder = home.job(job.id)
    folder.mkdir(parents=True)
    Image.new("RGB", (64, 64), (200, 30, 40)).save(folder / "preview.png")
    job.store.emit(
        Event(
            job_id=job.id,
            type="progress",
            state="active",
            progress=50,
            message="Drawing",
            stage="portrait",
            step=5,
            total=10,
            preview=f"/api/jobs/{job.id}/files/preview.png",
        )
    )
    return job


def test_the_picture_forms_in_half_blocks(drawing: Any, home: Home) -> None:
    terminal = watched(drawing)
    terminal.expect("38;2;200;30;40[^m]*m" + HALF_BLOCK)
    Image.new("RGB", (64, 64), (10, 20, 220)).save(home.job(drawing.id) / "preview.png")
    drawing.end()
    terminal.expect("38;2;10;20;220[^m]*m" + HALF_BLOCK)
    terminal.expect("/made/video.mp4")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


@pytest.mark.parametrize(
    ("words", "environment"),
    [
        (("--no-preview",), {}),
        ((), {"NO_COLOR": "1"}),
        ((), {"TERM": "dumb"}),
        ((), {"LANG": "C", "PYTHONIOENCODING": "ascii"}),
    ],
)
def test_no_picture_where_none_is_wanted_or_none_can_be(
    drawing: Any, words: tuple[str, ...], environment: dict[str, str]
) -> None:
    terminal = watched(drawing, *words, **environment)
    terminal.expect(drawing.id)
    drawing.end()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    assert HALF_BLOCK not in terminal.before


def test_a_terminal_made_smaller_meanwhile_gets_lines_that_fit(drawing: Any) -> None:
    terminal = watched(drawing, "--no-preview")
    terminal.expect("50%")
    terminal.setwinsize(20, 50)
    for step in range(6, 10):
        drawing.step(step, 10, loss=float(step))
    terminal.expect("9/10")
    drawing.end()
    terminal.expect("/made/video.mp4")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
