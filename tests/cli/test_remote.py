"""A daemon on another machine: inputs are uploaded, results fetched; and what Tab offers."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spinbot.home import Home
from spinbot.jobs import Completed

Run = Callable[..., "subprocess.CompletedProcess[str]"]
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def remote(gateway: Any, tmp_path: Path) -> dict[str, str]:
    return {"SPINBOT_URL": gateway.url, "SPINBOT_TOKEN": gateway.token, "SPINBOT_HOME": str(tmp_path / "elsewhere")}


@pytest.mark.timeout(120)
def test_recordings_are_uploaded_with_their_words(spinbot: Run, remote: dict[str, str], home: Home) -> None:
    done = spinbot("train", str(EXAMPLES / "sample.wav"), "--name", "ada", "--detach", **remote)
    assert done.returncode == 0, done.stderr
    inputs = home.job(done.stdout.strip()) / "inputs"
    assert sorted(file.suffix for file in inputs.iterdir()) == [".txt", ".wav"]
    assert (inputs / "01.wav").read_bytes() == (EXAMPLES / "sample.wav").read_bytes()
    assert not Path(remote["SPINBOT_HOME"]).exists()


def test_a_file_that_is_not_here_is_refused_before_anything_is_sent(spinbot: Run, remote: dict[str, str]) -> None:
    done = spinbot("train", "/no/such.wav", **remote)
    assert done.returncode == 2
    assert "/no/such.wav: no such file" in done.stderr


@pytest.mark.usefixtures("gateway")
def test_tab_offers_ids_and_names(moved: Callable[[], Any]) -> None:
    job = moved()
    assert _offered("watch", "gen-") == [job.id]
    assert _offered("cancel", "gen-") == [job.id]
    assert _offered("retry", "gen-") == []
    assert _offered("generate", "--voice", "sta") == ["starter"]


def test_tab_starts_no_daemon(home: Home) -> None:
    assert _offered("watch", "gen-") == []
    assert list(home.root.iterdir()) == []


def _offered(*words: str) -> list[str]:
    """As bash asks: the last word is not finished."""
    asked = {
        "COMP_WORDS": " ".join(["spinbot", *words]),
        "COMP_CWORD": str(len(words)),
        "_SPINBOT_COMPLETE": "complete_bash",
    }
    code = "import sys; sys.argv = ['spinbot']; from spinbot_cli.main import app; app(prog_name='spinbot')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.split()


def test_the_result_is_put_where_it_was_asked_for(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spinbot_cli.client import Client
    from spinbot_cli.commands.generate import _deliver

    made = tmp_path / "video.mp4"
    made.write_bytes(b"a video")
    result = Completed(result={"path": str(made), "file": made.name}).result
    assert _deliver(Client(home), "gen-aaaaaa", result, None) == str(made)
    assert _deliver(Client(home), "gen-aaaaaa", result, tmp_path) == str(tmp_path / "gen-aaaaaa.mp4")
    assert (tmp_path / "gen-aaaaaa.mp4").read_bytes() == b"a video"


@pytest.mark.usefixtures("gateway")
def test_a_result_is_fetched(spinbot: Run, remote: dict[str, str], home: Home, moved: Any, tmp_path: Path) -> None:
    job = moved().begin()
    home.job(job.id).mkdir(parents=True)
    (home.job(job.id) / "video.mp4").write_bytes(b"a video" * 100_000)
    job.end()
    from spinbot_cli.client import Client

    client = Client()
    client.url, client.token = remote["SPINBOT_URL"], remote["SPINBOT_TOKEN"]
    fetched = client.download(f"/api/jobs/{job.id}/files/video.mp4", tmp_path / "here.mp4")
    assert fetched.read_bytes() == b"a video" * 100_000
    assert json.loads(spinbot("status", job.id, "--json", **remote).stdout)["state"] == "completed"
