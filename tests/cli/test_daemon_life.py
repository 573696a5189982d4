"""Starting, finding and stopping a real daemon from the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from spinbot.home import Home

Run = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def own_home(home: Home, spinbot: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    """A home whose daemon has no workers, and is stopped in the end."""
    monkeypatch.setenv("SPINBOT_LANES", "[]")
    yield home
    assert spinbot("daemon", "stop").returncode == 0
    assert spinbot("daemon", "status").returncode == 5


def test_many_shells_at_once_start_one_daemon(own_home: Home) -> None:
    shells = [
        subprocess.Popen(
            [sys.executable, "-m", "spinbot_cli", "jobs", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    said = [shell.communicate(timeout=100) for shell in shells]
    assert [json.loads(out) for out, _ in said] == [{"jobs": []}] * len(shells)
    assert sum("starting the daemon" in err for _, err in said) == 1


def test_a_daemon_can_be_started_twice_restarted_and_asked_where_it_is(own_home: Home, spinbot: Run) -> None:
    first = json.loads(spinbot("daemon", "start", "--json").stdout)
    assert json.loads(spinbot("daemon", "start", "--json").stdout)["pid"] == first["pid"]
    again = json.loads(spinbot("daemon", "restart", "--json").stdout)
    assert again["pid"] != first["pid"]
    assert again["socket"] == str(own_home.socket)
    assert again["url"].startswith("http://127.0.0.1:")


def test_the_address_a_killed_daemon_left_behind_ends_no_other_process(home: Home, spinbot: Run) -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        home.daemon_file.write_text(json.dumps({"pid": other.pid}))
        assert "not running" in spinbot("daemon", "stop").stderr
        assert other.poll() is None
        other.kill()


def test_a_daemon_that_cannot_start_says_why(home: Home, spinbot: Run) -> None:
    home.config_file.write_text("wat = 1\n")
    done = spinbot("jobs")
    assert done.returncode == 5
    assert "wat" in done.stderr
    assert "Traceback" not in done.stderr
    assert os.path.exists(home.logs)
