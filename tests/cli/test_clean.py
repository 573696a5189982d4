"""`spinbot clean` and `spinbot space`."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from spinbot.errors import JobNotFound
from spinbot.home import Home
from spinbot.store import JobStore

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[[], Any]

pytestmark = pytest.mark.usefixtures("gateway")


@pytest.fixture
def jobs(moved: Make, home: Home) -> dict[str, Any]:
    made = {"over": moved().begin().end(), "running": moved().begin(), "queued": moved()}
    for job in made.values():
        (home.job(job.id) / "inputs").mkdir(parents=True)
        (home.job(job.id) / "log.txt").write_bytes(b"x" * 100_000)
    (home.voices / "ada").mkdir(parents=True)
    (home.voices / "ada" / "voice.safetensors").write_bytes(b"x" * 50_000)
    return made


def test_what_ended_goes_with_its_files_and_everything_else_stays(
    spinbot: Run, jobs: dict[str, Any], home: Home, store: JobStore
) -> None:
    before = store.counters()
    done = spinbot("clean", "--older-than", "0s")
    assert (done.returncode, done.stdout) == (0, "removed 1 job, 102.4 kB\n")
    assert not home.job(jobs["over"].id).exists()
    with pytest.raises(JobNotFound):
        store.get(jobs["over"].id)
    assert {job.id for job in store.newest()} == {jobs["running"].id, jobs["queued"].id}
    assert home.job(jobs["running"].id).exists()
    assert (home.voices / "ada" / "voice.safetensors").exists()
    assert sorted(path.name for path in home.jobs.iterdir()) == sorted([jobs["running"].id, jobs["queued"].id])
    after = store.counters()
    assert after["jobs:generate:completed"] == before["jobs:generate:completed"] == 1
    assert after["now:generate:completed"] == 0


def test_a_dry_run_only_says(spinbot: Run, jobs: dict[str, Any], home: Home) -> None:
    done = spinbot("clean", "--older-than", "0s", "--dry-run")
    assert jobs["over"].id in done.stdout
    assert "would remove 1 job" in done.stdout
    assert home.job(jobs["over"].id).exists()


def test_younger_jobs_stay_and_a_bad_age_is_refused(spinbot: Run, jobs: dict[str, Any]) -> None:
    assert json.loads(spinbot("clean", "--json").stdout) == {"jobs": [], "bytes": 0, "dryRun": False}
    assert spinbot("clean", "--older-than", "old").returncode == 2


def test_a_link_in_place_of_a_job_is_not_followed(
    spinbot: Run, moved: Make, home: Home, tmp_path: Any, store: JobStore
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    job = moved().begin().end()
    home.jobs.mkdir(parents=True, exist_ok=True)
    home.job(job.id).symlink_to(precious)
    assert spinbot("clean", "--older-than", "0s").returncode == 0
    assert (precious / "file").exists()


def test_space_says_what_everything_takes(spinbot: Run, jobs: dict[str, Any]) -> None:
    found = json.loads(spinbot("space", "--json").stdout)
    assert found["parts"]["jobs"] == {"count": 3, "bytes": 3 * 102_400}
    assert found["parts"]["voices"]["count"] == 1
    assert found["free"] > 0
    assert "voices  1      53.2 kB" in spinbot("space").stdout
