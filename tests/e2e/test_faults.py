"""The worst moments, each on a real daemon with real jobs. `make test-faults`; `make chaos` mixes them at random."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from chaos.disk import fill, small_disk
from chaos.invariants import check_job, check_watcher, last_loss, steps_lost
from chaos.machine import Machine, Refused, Watcher, until
from PIL import Image, ImageChops

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
    """A daemon on a disk of 1.5 GB that can be filled, and that does not ask for room at the door."""
    with tempfile.TemporaryDirectory(prefix="spinbot-small-") as folder, small_disk(Path(folder)) as is_small:
        if not is_small:
            pytest.skip("a small disk needs the right to mount one")
        machine = Machine(Home(Path(folder)), {"SPINBOT_MIN_FREE_MB": "0"})
        try:
            machine.start()
            yield machine
        finally:
            machine.stop()


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


def test_a_worker_killed_while_its_jobs_are_queued_costs_them_no_attempt(machine):
    machine.ask("POST", "/api/queues/generate/pause", {})
    watchers = [watched(machine, "/api/generate", PICTURE, f"queued {turn}") for turn in range(2)]
    dead = kill_worker(machine, "generate")
    machine.ask("POST", "/api/queues/generate/resume", {})
    jobs = [ended(machine, watcher) for watcher in watchers]
    assert [(job.state, job.attempt) for job in jobs] == [("completed", 1)] * 2
    assert machine.process("generate").pid != dead


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
    assert last_loss(events) == pytest.approx(last_loss(store.events(whole.id)), rel=0.02)


@pytest.mark.parametrize("fault", ["stopped for a minute", "killed"])
def test_a_training_goes_on_without_its_broker_and_its_events_catch_up(machine, fault):
    watcher = watched(machine, "/api/train", {**TRAINING, "name": fault.replace(" ", "-")}, fault)
    when(watcher, lambda event: event.get("stage") == "train" and event.get("step", 0) >= 2, "step 2")
    worker = machine.process("train")
    if fault == "killed":
        machine.kill("valkey")
    else:
        machine.kill("valkey", signal.SIGSTOP)
        time.sleep(60)  # is what is tested: a pause of this length
        machine.kill("valkey", signal.SIGCONT)
    job = ended(machine, watcher)
    assert (job.state, job.attempt) == ("completed", 1)
    assert worker.is_running(), "the worker died of its broker's death"


def test_a_folder_that_is_deleted_under_a_job_fails_that_job_and_no_other(machine):
    watcher = watched(machine, "/api/generate", PICTURE, "deleted")
    when(watcher, MOMENTS["while denoising"], "it draws")
    shutil.rmtree(machine.home.jobs)
    job = ended(machine, watcher)
    assert job.state == "failed"
    assert job.status.error.startswith(f"No such file or directory: {machine.home.job(job.id)}")
    assert "mend the folder" in job.status.hint
    after = ended(machine, watched(machine, "/api/generate", PICTURE, "after deleted"))
    assert after.state == "completed"


def test_a_home_that_is_deleted_takes_its_daemon_along_and_the_next_command_begins_anew():
    folder = Path(tempfile.mkdtemp(prefix="spinbot-gone-"))
    machine = Machine(Home(folder))
    machine.start()
    try:
        watcher = watched(machine, "/api/generate", PICTURE, "gone")
        when(watcher, MOMENTS["while denoising"], "it draws")
        watcher.gave_up.set()
        everyone = psutil.Process(machine.supervisor.pid).children(recursive=True)
        until(lambda: not (shutil.rmtree(folder, ignore_errors=True) or folder.exists()), "the home is gone")
        machine.supervisor.wait(20)
        assert not any(process.is_running() for process in everyone)
        folder.mkdir()
        machine.start()
        assert ended(machine, watched(machine, "/api/generate", PICTURE, "anew")).state == "completed"
    finally:
        machine.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_power_cut_loses_neither_what_runs_nor_what_waits_nor_what_is_done(tmp_path):
    machine = Machine(Home(tmp_path))
    machine.start()
    try:
        done = ended(machine, watched(machine, "/api/generate", PICTURE, "done"))
        before = Path(str(done.status.result["path"])).read_bytes()
        runs = watched(machine, "/api/generate", {**PICTURE, "seed": 8}, "runs")
        waits = watched(machine, "/api/generate", {**PICTURE, "seed": 9}, "waits")
        trains = watched(machine, "/api/train", {**TRAINING, "name": "cut"}, "trains")
        when(runs, MOMENTS["while denoising"], "it draws")
        machine.power_cut()
        machine.start()
        jobs = [ended(machine, watcher) for watcher in (runs, waits, trains)]
        assert [job.state for job in jobs] == ["completed"] * 3
        assert (jobs[0].attempt, jobs[1].attempt) == (2, 1)
        assert Path(str(done.status.result["path"])).read_bytes() == before
        assert store_of(machine).get(done.id) == done
    finally:
        machine.stop()


def test_valkey_killed_between_submission_and_answer_leaves_one_job_for_each_key(machine):
    keys = [f"between-{turn}" for turn in range(30)]
    body = {"prompt": "hi", "output": "audio", "say": "hi"}
    machine.ask("POST", "/api/queues/generate/pause", {})
    answers: dict[str, str] = {}

    def submit_all() -> None:
        for key in keys:
            answers[key] = machine.submit("/api/generate", body, key)

    submitting = threading.Thread(target=submit_all)
    submitting.start()
    for few in (3, 12, 20):  # whatever the submission is at by then
        until(lambda few=few: len(answers) >= few, f"{few} are answered")
        machine.kill("valkey")
    submitting.join(120)
    store = store_of(machine)
    assert [machine.submit("/api/generate", body, key) for key in keys] == list(answers.values())
    assert len(set(answers.values())) == len(keys)
    queued = {job.id for job in store.newest(limit=1000) if job.state == "queued"}
    assert queued == set(answers.values()), "one that nobody was told of, or one that was lost"
    machine.ask("POST", "/api/queues/generate/resume", {})
    until(lambda: all(store.get(each).state == "completed" for each in answers.values()), "all are done")


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


def test_a_disk_that_fills_up_in_training_fails_the_job_with_the_reason_and_a_retry_goes_on(small):
    first = ended(small, watched(small, "/api/generate", PICTURE, "before"))
    assert ended(small, watched(small, "/api/train", {**TRAINING, "name": "full", "steps": 2}, "older")).is_over
    model = small.home.voices / "full" / "model.safetensors"
    older = model.read_bytes()
    watcher = watched(small, "/api/train", {**TRAINING, "name": "full"}, "full")
    when(watcher, lambda event: event.get("stage") == "train" and event.get("step", 0) >= 1, "step 1")
    ballast = fill(small.home.root, 1 << 20)
    job = ended(small, watcher)
    assert job.state == "failed"
    assert re.search(r"No space left on device \([\d.]+ MB are needed, [\d.]+ MB are free\): /", job.status.error)
    assert "make room" in job.status.hint
    ballast.unlink()
    assert Path(str(first.status.result["path"])).exists()
    assert model.read_bytes() == older
    again = Watcher(small.home, small.ask("POST", f"/api/jobs/{job.id}/retry", {})["jobId"])
    again.start()
    after = ended(small, again)
    assert after.state == "completed", after.status
    assert model.read_bytes() != older


def test_a_disk_that_fills_up_while_a_look_is_learned_fails_it_with_the_figures_and_a_retry_goes_on(small, tmp_path):
    for number, colour in enumerate(("red", "blue")):
        Image.new("RGB", (256, 256), colour).save(tmp_path / f"{number}.png")
    asked = {"inputs": [str(tmp_path)], "name": "plain", "caption": "a robot", "steps": 60, "checkpointEvery": 4}
    watcher = watched(small, "/api/train", asked, "look")
    when(watcher, lambda event: event.get("stage") == "train" and event.get("step", 0) >= 4, "a checkpoint")
    ballast = fill(small.home.root, 64 << 10)
    job = ended(small, watcher)
    assert job.state == "failed"
    assert "No space left on device (" in job.status.error, job.status.error
    ballast.unlink()
    again = Watcher(small.home, small.ask("POST", f"/api/jobs/{job.id}/retry", {})["jobId"])
    again.start()
    after = ended(small, again)
    assert after.state == "completed", after.status
    assert min(event["step"] for event in again.events if event.get("stage") == "train") > 1, "it began anew"


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
    assert refused[-1].status == 507
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
