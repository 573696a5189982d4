"""`spinbot daemon install`: the unit, and what systemd is told."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def machine(tmp_path: Path, home: object) -> dict[str, str]:
    """A user's machine whose systemctl writes down what it is told; `says` is what it fails with."""
    folder = tmp_path / "bin"
    folder.mkdir()
    systemctl = folder / "systemctl"
    systemctl.write_text('#!/bin/sh\necho "$@" >> "$TOLD"\n[ -z "$SAYS" ] || { echo "$SAYS" >&2; exit 1; }\n')
    systemctl.chmod(0o755)
    return {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TOLD": str(tmp_path / "told"),
        "SPINBOT_PORT": "7801",
        "SPINBOT_TOKEN": "secret-token",
        "REDIS_URL": "redis://:50%25$off@studio/0",
    }


def test_install_writes_the_unit_and_starts_it(spinbot: Run, machine: dict[str, str], home: object) -> None:
    done = spinbot("daemon", "install", **machine)
    assert done.returncode == 0, done.stderr
    unit = Path(machine["XDG_CONFIG_HOME"]) / "systemd/user/spinbot.service"
    assert done.stdout == f"installed {unit}\n"
    assert "enable-linger" in done.stderr
    text = unit.read_text()
    assert f'ExecStart="{sys.executable}" "-m" "spinbot_daemon"' in text
    assert f'Environment="SPINBOT_HOME={os.environ["SPINBOT_HOME"]}"' in text
    assert 'Environment="SPINBOT_PORT=7801"' in text
    assert 'Environment="REDIS_URL=redis://:50%%25$off@studio/0"' in text
    assert "secret-token" not in text
    assert unit.stat().st_mode & 0o077 == 0
    told = Path(machine["TOLD"]).read_text().splitlines()
    assert told == ["--user daemon-reload", "--user enable --now spinbot.service"]


def test_uninstall_takes_it_away(spinbot: Run, machine: dict[str, str]) -> None:
    spinbot("daemon", "install", **machine)
    done = spinbot("daemon", "uninstall", **machine)
    assert done.stdout.startswith("removed ")
    assert not list(Path(machine["XDG_CONFIG_HOME"]).rglob("*.service"))
    assert "--user disable --now spinbot.service" in Path(machine["TOLD"]).read_text()
    assert "nothing to uninstall" in spinbot("daemon", "uninstall", **machine).stderr


def test_what_systemd_says_is_passed_on_with_what_to_type(spinbot: Run, machine: dict[str, str]) -> None:
    done = spinbot("daemon", "install", SAYS="Failed to connect to bus", **machine)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Failed to connect to bus" in done.stderr
    assert "systemctl --user daemon-reload" in done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd on this machine to judge the unit")
def test_systemd_finds_no_fault_in_the_unit(spinbot: Run, machine: dict[str, str], tmp_path: Path) -> None:
    unit = tmp_path / "spinbot.service"
    unit.write_text(spinbot("daemon", "install", "--print", **machine).stdout)
    judged = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (judged.returncode, judged.stderr) == (0, "")
