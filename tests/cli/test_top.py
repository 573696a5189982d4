"""`spinbot top` and `spinbot jobs --watch`, in a real pseudo-terminal and in scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pexpect
import pyte
import pytest

from spinbot.store import JobStore

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[[], Any]

pytestmark = pytest.mark.usefixtures("gateway")


class Screen:
    """A terminal that is looked at."""

    def __init__(self, *words: str, columns: int = 100, rows: int = 30, **environment: str) -> None:
        self.process = pexpect.spawn(
            sys.executable,
            ["-m", "spinbot_cli", *words],
            env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
            dimensions=(rows, columns),
            timeout=20,
        )
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def until(self, seen: Callable[[str], bool]) -> str:
        """What is on it once `seen` holds; fails after 20 s."""
        over = threading.Event()
        timer = threading.Timer(20, over.set)
        timer.start()
        try:
            while not seen(self.text):
                assert not over.is_set(), self.text
                try:
                    self._stream.feed(self.process.read_nonblocking(65536, timeout=1))
                except pexpect.TIMEOUT:
                    continue
        finally:
            timer.cancel()
        return self.text

    def resize(self, rows: int, columns: int) -> None:
        self._screen.resize(rows, columns)
        self.process.setwinsize(rows, columns)

    def type(self, keys: str) -> None:
        self.process.send(keys)

    def quit(self) -> int:
        self.type("q")
        self.process.expect(pexpect.EOF)
        self.process.close()
        return int(self.process.exitstatus)


@pytest.fixture
def busy(moved: Make, store: JobStore) -> dict[str, Any]:
    """One job running, one waiting, one finished, a worker."""
    store.beat(
        "generate-abc123", {"lane": "generate", "pid": "1", "device": "cpu", "rssMb": "812", "models": "look:starter"}
    )
    return {"finished": moved().begin().end(), "running": moved().begin().step(1, 2), "waiting": moved()}


def test_the_screen_has_queues_jobs_and_workers(busy: dict[str, Any]) -> None:
    screen = Screen("top")
    text = screen.until(lambda text: busy["waiting"].id in text)
    assert "generate  busy    1 queued" in text
    assert "generate-abc123    cpu     812.0 MB  look:starter" in text
    assert f"> {busy['running'].id:13} ━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌  50%" in text
    assert f"{busy['finished'].id} " in text
    assert screen.quit() == 0


def test_it_follows_what_happens(busy: dict[str, Any]) -> None:
    screen = Screen("top")
    screen.until(lambda text: busy["waiting"].id in text)
    busy["running"].end()
    screen.until(lambda text: "2 completed" in text)
    assert screen.quit() == 0


def test_keys_cancel_the_selected_job_and_pause_its_queue(busy: dict[str, Any], store: JobStore) -> None:
    screen = Screen("top")
    screen.until(lambda text: busy["waiting"].id in text)
    screen.type("j")
    screen.until(lambda text: f"> {busy['waiting'].id}" in text)
    screen.type("c")
    screen.until(lambda text: f"{busy['waiting'].id} is cancelled" in text)
    assert store.get(busy["waiting"].id).state == "cancelled"
    screen.type("p")
    screen.until(lambda text: "generate  paused" in text)
    assert store.paused() == {"generate"}
    assert screen.quit() == 0


def test_w_watches_and_ctrl_c_comes_back(busy: dict[str, Any]) -> None:
    screen = Screen("top")
    screen.until(lambda text: busy["waiting"].id in text)
    screen.type("w")
    screen.until(lambda text: "1/2" in text)
    screen.type("\x03")
    screen.until(lambda text: "workers" in text and "watchers" in text)
    assert screen.quit() == 0


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}, {"LANG": "C", "PYTHONIOENCODING": "ascii"}])
def test_it_fits_a_small_terminal_and_one_that_is_made_smaller(
    busy: dict[str, Any], environment: dict[str, str]
) -> None:
    screen = Screen("top", columns=60, rows=24, **environment)
    screen.until(lambda text: busy["waiting"].id in text)
    screen.resize(12, 50)
    screen.until(lambda text: f"> {busy['running'].id}" in text)
    assert screen.quit() == 0


def test_a_script_gets_it_once(spinbot: Run, busy: dict[str, Any]) -> None:
    page = spinbot("top", "--once")
    assert (page.returncode, busy["running"].id in page.stdout) == (0, True)
    facts = json.loads(spinbot("top", "--once", "--json").stdout)
    assert [job["jobId"] for job in facts["running"]] == [busy["running"].id]
    assert [job["jobId"] for job in facts["waiting"]] == [busy["waiting"].id]
    assert [job["jobId"] for job in facts["finished"]] == [busy["finished"].id]
    assert facts["workers"][0]["rssMb"] == 812
    refused = spinbot("top")
    assert (refused.returncode, "--once" in refused.stderr) == (2, True)


def test_jobs_are_shown_as_they_change(busy: dict[str, Any]) -> None:
    screen = Screen("jobs", "--watch")
    screen.until(lambda text: f"{busy['running'].id}  active" in text)
    busy["running"].end()
    screen.until(lambda text: f"{busy['running'].id}  completed" in text)
    assert screen.quit() == 0


def test_jobs_of_a_voice_are_those_that_make_or_use_it(spinbot: Run, moved: Make, store: JobStore) -> None:
    from spinbot.jobs import Input, TalkSpec, VoiceSpec, new_job

    moved()
    uses = store.add(new_job(TalkSpec(prompt="x", say="x", scene="", voice="ada")))
    makes = store.add(new_job(VoiceSpec(name="ada", inputs=(Input(file="01.wav", name="a.wav", sha256=""),))))
    found = json.loads(spinbot("jobs", "--voice", "ada", "--json").stdout)["jobs"]
    assert {job["jobId"] for job in found} == {uses.id, makes.id}
