"""A home of its own with a daemon that the first command starts, as a stranger's would; and a voice learned in it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Shell:
    """`spinbot` as typed, in a home of its own."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPINBOT_", "REDIS_URL"))}
        return {**kept, "SPINBOT_HOME": str(self.home), "COLUMNS": "100"}

    def run(self, *words: str, expect: int = 0, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "spinbot_cli", *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *words: str, expect: int = 0) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.run(*words, "--json", expect=expect).stdout)
        return found

    def events(self, job_id: str) -> list[dict[str, object]]:
        """Every event of a job that is over, from the beginning."""
        done = subprocess.run(
            [sys.executable, "-m", "spinbot_cli", "watch", job_id, "--json"],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    shell = Shell(tmp_path_factory.mktemp("home"))
    yield shell
    shell.run("daemon", "stop")


@pytest.fixture(scope="session")
def trained(shell: Shell) -> dict[str, object]:
    """The job that taught the voice `ada` 20 steps of the example."""
    words = ("train", str(EXAMPLES / "sample.wav"), "--name", "ada", "--steps", "20", "--detach")
    job_id = shell.run(*words).stdout.strip()
    shell.run("wait", job_id, timeout=600)
    return shell.json("status", job_id)
