"""Help, nearest matches, and what each command loads."""

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from spinbot.home import Home
from spinbot_cli.groups import FILES, PANELS
from spinbot_cli.values import seconds, text_or_file

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def test_help_is_grouped_by_what_people_do(spinbot: Run) -> None:
    said = spinbot("--help").stdout
    places = [said.index(f"\n{panel}:") for panel in PANELS]
    assert places == sorted(places)
    assert all(f"\n  {command} " in said for command in FILES)


@pytest.mark.parametrize("command", FILES)
def test_every_command_has_its_page(spinbot: Run, command: str) -> None:
    done = spinbot(command, "--help")
    assert done.returncode == 0
    assert f"Usage: spinbot {command}" in done.stdout.replace("python -m spinbot_cli", "spinbot")


def test_an_unknown_command_is_answered_with_the_nearest(spinbot: Run) -> None:
    done = spinbot("trian", "a.wav")
    assert done.returncode == 2
    assert "did you mean train?" in done.stderr


@pytest.mark.usefixtures("gateway")
def test_an_unknown_voice_is_answered_with_the_nearest(spinbot: Run) -> None:
    done = spinbot("generate", "-p", "hi", "--voice", "startr")
    assert done.returncode == 2
    assert "did you mean starter?" in done.stderr


@pytest.mark.usefixtures("gateway")
def test_status_loads_no_models_no_broker_and_nothing_that_draws() -> None:
    check = """
import sys
sys.argv = ["spinbot", "status"]
from spinbot_cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code
heavy = {"torch", "redis", "rq", "httpx", "websockets", "rich.progress", "spinbot.store"} & set(sys.modules)
sys.exit(str(heavy) if heavy else 0)
"""
    done = subprocess.run([sys.executable, "-c", check], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("1.5m", 90), ("2h", 7200), (None, None)])
def test_lengths_of_time(text: str | None, value: float | None) -> None:
    assert seconds(text) == value


def test_a_transcript_may_be_a_file(tmp_path) -> None:
    (tmp_path / "words.txt").write_text("the words")
    assert text_or_file(f"@{tmp_path}/words.txt", "--transcript") == "the words"
    assert text_or_file(f"{tmp_path}/words.txt", "--transcript") == "the words"
    assert text_or_file("just words", "--transcript") == "just words"


@pytest.mark.usefixtures("gateway")
def test_a_terminal_without_the_letters_gets_their_numbers(spinbot: Run) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii"}
    job_id = spinbot("generate", "-p", "a café robot says “hello”", "--detach", **ascii_only).stdout.strip()
    listed = spinbot("jobs", **ascii_only)
    assert listed.returncode == 0, listed.stderr
    assert "caf\\xe9" in listed.stdout
    assert json.loads(spinbot("jobs", "--json", **ascii_only).stdout)["jobs"][0]["jobId"] == job_id


def test_a_worker_without_a_broker_elsewhere_is_refused(spinbot: Run, home: Home) -> None:
    done = spinbot("worker")
    assert done.returncode == 2
    assert "REDIS_URL" in done.stderr
