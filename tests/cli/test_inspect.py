"""What generated files say of themselves, read back by `spinbot inspect`; and files that lie."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from PIL import Image

from spinbot.home import Home
from spinbot.jobs import TalkSpec, new_job
from spinbot_cli.provenance import provenance as read_back
from spinbot_workers.generate import Label, _write_png, _write_wav
from spinbot_workers.provenance import provenance
from spinbot_workers.video.mp4 import write_mp4
from spinbot_workers.voice.speak import Speech

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "inspect.json").read_text())


@pytest.fixture
def comment(home: Home) -> str:
    job = new_job(TalkSpec(prompt="a red robot", say="hello", scene="a red robot", seed=7))
    assert isinstance(job.spec, TalkSpec)
    return provenance(home, job, job.spec)


@pytest.fixture(params=["video.mp4", "speech.wav", "portrait.png"])
def file(request: pytest.FixtureRequest, tmp_path: Path, comment: str) -> Path:
    path = tmp_path / request.param
    samples = np.sin(np.arange(4410, dtype=np.float32) / 10)
    picture = Image.new("RGB", (64, 64), "red")
    match path.suffix:
        case ".mp4":
            tags = {"title": "a red robot", "comment": comment}
            write_mp4(path, [picture] * 5, samples, fps=25, sample_rate=22050, metadata=tags)
        case ".wav":
            _write_wav(path, Speech(samples, 22050, []), Label(comment, lambda path: None))
        case ".png":
            _write_png(path, picture, Label(comment, lambda path: None))
    return path


def inspect(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "spinbot_cli", "inspect", *words], capture_output=True, text=True)


def test_what_was_written_is_read_back(file, comment):
    done = inspect(str(file), "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    Draft202012Validator(SCHEMA).validate(said)
    assert said["provenance"] == json.loads(comment)
    assert said["provenance"]["digitalSourceType"].endswith("trainedAlgorithmicMedia")
    assert "starter" in inspect(str(file)).stdout


def test_a_file_that_says_nothing_is_told(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    done = inspect(str(tmp_path / "plain.png"))
    assert done.returncode == 3
    assert "does not say that spinbot made it" in done.stderr


def test_a_missing_file_is_told(tmp_path):
    assert inspect(str(tmp_path / "none.mp4")).returncode == 2


def test_broken_files_are_no_crash(file):
    """Every byte of the structure changed, and cut at many places: an answer or none, never an exception."""
    whole = file.read_bytes()
    chance = np.random.default_rng(1)
    for _ in range(300):
        broken = bytearray(whole)
        for place in chance.integers(0, len(broken), 8):
            broken[place] = chance.integers(0, 256)
        file.write_bytes(broken[: int(chance.integers(1, len(broken)))])
        read_back(file)
