"""The worst moments, each on a real daemon with real jobs. `make test-faults`; `make chaos` mixes them at random."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos.invariants import check_job, check_watcher, steps_lost
from chaos.machine import Machine, Refused, Watcher, until
from PIL import Image, ImageChops

from spinbot.events import Event
from spinbot.home import Home
from spinbot.store import JobStore, connect

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

SAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"
PICTURE = {"prompt": "a red robot", "output": "image", "seed": 3}
TRAINING = {"inputs": [str(SAMPLE)], "steps": 12, "seed": 5, "checkpointEvery": 3}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """One daemon for all that leaves it whole."""
    with tempfile.TemporaryDirectory(prefix="spinbot-faults-") as folder:
        machine = Machine(Home(Path(folder)))
        machine.start()
        yield machine
        machine.stop()


@pytest.fixture
def small(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A daemon on a disk of 1.5 GB that can be filled."""
    folder = Path(tempfile.mkdtemp(prefix="spinbot-small-"))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500m", "tmpfs", str(folder)], check=False).returncode:
        folder.rmdir()
        pytest.skip("a small disk needs the right to mount one")
    machine = Machine(Home(folder))
    try:
        machine.start()
        yield machine
    finally:
        machine.stop()
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()


def store_of(machine: Machine) -> JobStore:
    return JobStore(connect(f"unix://{machine.home.broker_socket}"))


def watched(machine: Machine, path: str, body: dict[str, Any], key: str) -> Watcher:
    watcher = Watcher(machine.home, machine.submit(path, body, key.replace(" ", "-")))
    watcher.start()
    return watcher


def when(watcher: Watcher, what: Callable[[dict[str, Any]], bool], name: str, within: float = 120) -> None:
    until(lambda: any(what(event) for event in list(watcher.events)) or watcher.over, name, within=within)
    assert not watcher.over, f"it was over before {name}"


def ended(machine: Machine, watcher: Watcher, within: float = 300) -> Any:
    """The job, once over; nothing that must hold was broken on the way."""
    watcher.join(within)
    store = store_of(machine)
    assert check_job(store, watcher.job_id) == []
    assert check_watcher(store, watcher.job_id, watcher.events) == []
    return store.get(watcher.job_id)


def kill_worker(machine: Machine, lane: str) -> int:
    pid = until(lambda: machine.kill(lane), f"the worker {lane} runs")
    return int(pid)


def loss_at_the_end(events: list[Event]) -> float:
    return next(event.metrics["loss"] for event in reversed(events) if event.metrics and "loss" in event.metrics)


MOMENTS: dict[str, Callable[[dict[str, Any]], bool]] = {
    "before the first step": lambda event: event["type"] == "state" and event["state"] == "active",
    "while denoising": lambda event: event.get("stage") == "portrait" and event.get("step", 0) >= 3,
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_worker_killed_in_the_middle_makes_the_same_picture_in_its_second_attempt(machine, moment):
    watcher = watched(machine, "/api/generate", PICTURE, f"picture {moment}")
    when(watcher, MOMENTS[moment], moment)
    kill_worker(machine, "generate")
    job = ended(machine, watcher)
    assert (job.state, job.attempt) == ("completed", 2)
    whole = ended(machine, watched(machine, "/api/generate", PICTURE, f"whole {moment}"))
    one, other = (Image.open(Path(str(each.status.result["path"]))) for each in (job, whole))
    assert ImageChops.difference(one, other).getbbox() is None


def test_a_worker_killed_while_it_writes_the_video_leaves_no_half_of_one(machine):
    words = "good morning, we will go to the house by the river today"
    video = {"prompt": f'a red robot says "{words}"', "output": "video", "seed": 4}
    watcher = watched(machine, "/api/generate", video, "video")
    when(watcher, lambda event: event.get("stage") == "frames" and event.get("step", 0) >= 1, "frames are written")
    kill_worker(machine, "generate")
    folder = machine.home.job(watcher.job_id)
    assert not (folder / "video.mp4").exists()
    job = ended(machine, watcher)
    assert (job.state, job.attempt) == ("completed", 2)
    assert [path.name for path in folder.glob(".video*")] == []


def test_the_second_death_of_a_job_fails_it_with_the_reason(machine):
    watcher = watched(machine, "/api/generate", PICTURE, "dies twice")
    for attempt in (1, 2):
        when(
            watcher,
            lambda event, attempt=attempt: event.get("stage") == "portrait" and event["attempt"] == attempt,
            f"attempt {attempt} draws",
        )
        kill_worker(machine, "generate")
    job = ended(machine, watcher)
    assert job.state == "failed"
    assert "SIGKILL" in job.status.error
    assert "attempt 2 of 2" in job.status.error


def test_a_training_that_was_killed_ends_with_the_loss_of_one_that_was_not(machine):
    broken = watched(machine, "/api/train", {**TRAINING, "name": "broken"}, "broken")
    when(broken, lambda event: event.get("stage") == "train" and event.get("step", 0) >= 7, "step 7")
    kill_worker(machine, "train")
    job = ended(machine, broken)
    assert (job.state, job.attempt) == ("completed", 2)
    store = store_of(machine)
    events = store.events(job.id)
    lost = steps_lost(events)
    assert lost, "it began anew without having lost a step: it was not broken off in training"
    assert max(lost) <= TRAINING["checkpointEvery"] + 1
    whole = ended(machine, watched(machine, "/api/train", {**TRAINING, "name": "whole"}, "whole"))
    assert whole.state == "completed"
    assert loss_at_the_end(events) == pytest.approx(loss_at_the_end(store.events(whole.id)), rel=0.02)


@pytest.mark.parametrize("fault", ["stopped for eight seconds", "killed"])
def test_a_training_goes_on_without_its_broker_and_its_events_catch_up(machine, fault):
    watcher = watched(machine, "/api/train", {**TRAINING, "name": fault.replace(" ", "-")}, fault)
    when(watcher, lambda event: event.get("stage") == "train" and event.get("step", 0) >= 2, "step 2")
    worker = machine.process("train")
    if fault == "killed":
        machine.kill("valkey")
    else:
        machine.kill("valkey", signal.SIGSTOP)
        time.sleep(8)  # is what is tested: a pause of this length
        machine.kill("valkey", signal.SIGCONT)
    job = ended(machine, watcher)
    assert (job.state, job.attempt) == ("completed", 1)
    assert worker.is_running(), "the worker died of its broker's death"


def test_a_folder_that_is_deleted_under_a_job_fails_that_job_and_no_other(machine):
    watcher = watched(machine, "/api/generate", PICTURE, "deleted")
    when(watcher, MOMENTS["while denoising"], "it draws")
    shutil.rmtree(machine.home.jobs)
    watcher.join(120)
    job = store_of(machine).get(watcher.job_id)
    if job.state == "failed":
        assert str(watcher.job_id) in job.status.error or "No such file" in job.status.error
    else:  # it made its folder anew
        assert Path(str(job.status.result["path"])).exists()
    after = ended(machine, watched(machine, "/api/generate", PICTURE, "after deleted"))
    assert after.state == "completed"


def test_a_worker_over_its_memory_fails_its_job_with_the_figures_and_the_next_has_a_fresh_process():
    with tempfile.TemporaryDirectory(prefix="spinbot-rss-") as folder:
        machine = Machine(Home(Path(folder)), {"SPINBOT_MAX_RSS_MB": "640", "SPINBOT_LANES": '["generate"]'})
        machine.start()
        try:
            before = until(lambda: machine.process("generate"), "a worker runs").pid
            job = ended(machine, watched(machine, "/api/generate", PICTURE, "too large"))
            assert job.state == "failed"
            assert "640 MB are allowed" in job.status.error
            assert "SPINBOT_MAX_RSS_MB" in job.status.hint
            until(lambda: (now := machine.process("generate")) and now.pid != before, "another worker runs")
        finally:
            machine.stop()


def fill(folder: Path, leave: int) -> Path:
    """A file that takes what is free but `leave` bytes."""
    ballast, block = folder / "ballast", bytes(4096)
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(block)
    os.truncate(ballast, max(0, ballast.stat().st_size - leave))
    return ballast


def test_a_disk_that_fills_up_in_training_fails_the_job_with_the_reason_and_a_retry_goes_on(small):
    first = ended(small, watched(small, "/api/generate", PICTURE, "before"))
    watcher = watched(small, "/api/train", {**TRAINING, "name": "full"}, "full")
    when(watcher, lambda event: event.get("stage") == "train" and event.get("step", 0) >= 1, "step 1")
    ballast = fill(small.home.root, 1 << 20)
    job = ended(small, watcher)
    assert job.state == "failed"
    assert "o space left" in job.status.error, job.status.error
    assert "make room" in job.status.hint
    ballast.unlink()
    assert Path(str(first.status.result["path"])).exists()
    assert not (small.home.voices / "full").exists()
    again = Watcher(small.home, small.ask("POST", f"/api/jobs/{job.id}/retry", {})["jobId"])
    again.start()
    after = ended(small, again)
    assert after.state == "completed", after.status
    assert (small.home.voices / "full" / "voice.json").exists()


def test_a_full_disk_answers_507_and_loses_nothing_that_was_answered(small):
    until(lambda: store_of(small).workers(), "workers beat")
    kept = small.submit("/api/generate", PICTURE, "kept")
    ballast = fill(small.home.root, 0)
    refused: list[Refused] = []

    def is_refused() -> bool:
        try:
            small.ask("POST", "/api/generate", {**PICTURE, "seed": len(refused)}, f"full-{len(refused)}")
        except Refused as error:
            refused.append(error)
            return True
        return False

    until(is_refused, "a submission is refused", within=60)
    assert refused[-1].status in (503, 507)
    assert "room" in str(refused[-1]) or "space" in str(refused[-1])
    ballast.unlink()
    until(lambda: store_of(small).get(kept).is_over, "what was answered ends", within=120)
    job = ended(small, watched(small, "/api/generate", PICTURE, "room again"))
    assert job.state == "completed"


def test_a_read_only_folder_fails_the_training_with_its_path_and_leaves_older_voices(machine):
    machine.home.voices.mkdir(exist_ok=True)
    voices = str(machine.home.voices)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", voices], check=False).returncode:
        pytest.skip("a read-only folder needs the right to mount one")
    try:
        job = ended(machine, watched(machine, "/api/train", {**TRAINING, "name": "nowhere"}, "read-only"))
    finally:
        subprocess.run(["umount", "-l", voices], check=True)
    assert job.state == "failed"
    assert "Read-only" in job.status.error
    assert "voices" in job.status.error
    assert json.loads(json.dumps(machine.ask("GET", "/health")))["status"] == "ok"


JUMPING = """
import os, time
real, path = time.time, os.environ["JUMP"]
time.time = lambda: real() - (3600 if os.path.exists(path) else 0)
"""


def test_a_clock_that_jumps_back_an_hour_ends_no_job_and_no_worker():
    """In every Python process of the daemon, by a module that Python imports at its start; valkey keeps its clock."""
    with tempfile.TemporaryDirectory(prefix="spinbot-clock-") as folder:
        jump = Path(folder) / "jump"
        (Path(folder) / "sitecustomize.py").write_text(JUMPING)
        home = Home(Path(folder) / "home")
        home.root.mkdir()
        machine = Machine(home, {"PYTHONPATH": folder, "JUMP": str(jump)})
        machine.start()
        try:
            watcher = watched(machine, "/api/train", {**TRAINING, "name": "back"}, "clock")
            when(watcher, lambda event: event.get("stage") == "train" and event.get("step", 0) >= 2, "step 2")
            worker = machine.process("train")
            jump.touch()
            job = ended(machine, watcher)
            assert (job.state, job.attempt) == ("completed", 1)
            assert job.status.since < time.time() - 3000, "the clock did not jump"
            assert worker.is_running()
            after = ended(machine, watched(machine, "/api/generate", PICTURE, "after the jump"))
            assert (after.state, after.attempt) == ("completed", 1)
        finally:
            machine.stop()


def test_a_worker_that_hangs_is_gone_within_25_seconds_of_the_cancel(machine):
    """Every thread of it stands still, as in C code that keeps the interpreter's lock; the default grace."""
    watcher = watched(machine, "/api/generate", PICTURE, "hangs")
    when(watcher, MOMENTS["while denoising"], "it draws")
    worker = machine.process("generate")
    worker.suspend()
    machine.ask("DELETE", f"/api/jobs/{watcher.job_id}")
    job = ended(machine, watcher, within=25)
    assert job.state == "cancelled"
    assert "had to be killed" in job.status.reason
    after = ended(machine, watched(machine, "/api/generate", PICTURE, "after the hang"))
    assert after.state == "completed"
