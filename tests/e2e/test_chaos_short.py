"""A short turn of `make chaos`: a gateway and a worker die in the middle of real jobs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.timeout(400)
def test_two_faults_lose_nothing() -> None:
    words = [sys.executable, str(Path(__file__).parents[1] / "chaos"), "--seed", "7", "--faults", "2"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=390, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("fault: ") == 2
    assert "0 failed" in done.stdout
