"""A folder of samples, one voice each; and the same job once more with something changed."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.usefixtures("gateway")
SAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"


@pytest.fixture
def speakers(tmp_path: Path) -> Path:
    folder = tmp_path / "speakers"
    (folder / "eve").mkdir(parents=True)
    shutil.copy(SAMPLE, folder / "ada.wav")
    (folder / "ada.txt").write_text(SAMPLE.with_suffix(".txt").read_text())
    shutil.copy(SAMPLE, folder / "eve" / "one.wav")
    return folder


def spec_of(spinbot: Run, job_id: str) -> dict[str, object]:
    spec: dict[str, object] = json.loads(spinbot("status", job_id, "--json").stdout)["spec"]
    return spec


def test_a_folder_of_samples_makes_one_voice_each_with_its_own_words(
    spinbot: Run, speakers: Path, tmp_path: Path
) -> None:
    ids = tmp_path / "ids.txt"
    done = spinbot("train", f"{speakers}", "--each", "--jobs-file", f"{ids}", "--steps", "2", "--detach")
    assert done.returncode == 0, done.stderr
    jobs = done.stdout.split()
    assert ids.read_text().split() == jobs
    specs = [spec_of(spinbot, job) for job in jobs]
    assert [spec["name"] for spec in specs] == ["ada", "eve"]
    assert [[file["name"] for file in spec["inputs"]] for spec in specs] == [["ada.wav", "ada.txt"], ["one.wav"]]  # type: ignore[attr-defined]


def test_what_was_made_before_one_was_refused_is_said(spinbot: Run, speakers: Path) -> None:
    (speakers / "bad.wav").write_text("not a sound")
    done = spinbot("train", f"{speakers}", "--each", "--detach")
    assert (done.returncode, len(done.stdout.split())) == (2, 1)
    assert "bad.wav" in done.stderr


def test_each_takes_its_name_from_its_file(spinbot: Run, speakers: Path) -> None:
    done = spinbot("train", f"{speakers}", "--each", "--name", "all", "-d")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_training_is_made_once_more_from_the_same_recordings(spinbot: Run) -> None:
    first = spinbot("train", f"{SAMPLE}", "--name", "ada", "--steps", "2", "-d").stdout.strip()
    again = spinbot("rerun", first, "--steps", "3", "--name", "ada-3", "-d").stdout.strip()
    old, new = spec_of(spinbot, first), spec_of(spinbot, again)
    assert new == {**old, "steps": 3, "name": "ada-3"}


@pytest.mark.parametrize(
    ("words", "said"),
    [(("--rank", "4"), "a voice has no rank"), (("--name", "../x"), "cannot be used"), (("--prompt", "x"), "prompt")],
)
def test_a_change_that_does_not_fit_the_training_is_refused(spinbot: Run, words: tuple[str, ...], said: str) -> None:
    first = spinbot("train", f"{SAMPLE}", "--name", "ada", "--steps", "2", "-d").stdout.strip()
    done = spinbot("rerun", first, *words, "-d")
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
