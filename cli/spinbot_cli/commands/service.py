"""spinbot daemon install and uninstall: the daemon as a service of the user, there after a login or a boot"""

from __future__ import annotations

import os
import plistlib
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from spinbot.errors import SpinbotError
from spinbot.files import write_atomic
from spinbot_cli.client import Client
from spinbot_cli.process import end
from spinbot_cli.say import out, tell

KEPT = ("REDIS_URL", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES")
NOT_KEPT = ("SPINBOT_URL", "SPINBOT_TOKEN")
"""Of a daemon elsewhere, and what the one here makes itself."""
UNIT = """\
[Unit]
Description=spinbot, voices and talking videos

[Service]
ExecStart={command}
{environment}
Restart=on-failure
RestartSec=2
# The supervisor alone is told to end: it lets its workers write their checkpoints.
KillMode=mixed
TimeoutStopSec=15
NoNewPrivileges=yes

[Install]
WantedBy=default.target
"""
LABEL = "spinbot.daemon"


def install(show: Annotated[bool, typer.Option("--print", help="Print the service file and end.")] = False) -> None:
    """Have it started at login by systemd or launchd, with the settings of this shell.

    spinbot daemon install
    """
    client = Client()
    path = _launch_agent() if sys.platform == "darwin" else _unit()
    text = _plist(client) if sys.platform == "darwin" else _unit_text(client)
    if show:
        out(text.rstrip())
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, text)
    path.chmod(0o600)  # REDIS_URL has a password in it
    if end(client):
        tell("stopped the daemon that was running; its jobs go on in the service")
    if sys.platform == "darwin":
        _do("launchctl", "bootstrap", f"gui/{os.getuid()}", str(path))
    else:
        _do("systemctl", "--user", "daemon-reload")
        _do("systemctl", "--user", "enable", "--now", path.name)
        tell("to have it run while you are not logged in: loginctl enable-linger")
    out(f"installed {path}")


def uninstall() -> None:
    """Take the service away again. Jobs, voices and looks stay.

    spinbot daemon uninstall
    """
    path = _launch_agent() if sys.platform == "darwin" else _unit()
    if not path.exists():
        tell(f"there is no {path}: nothing to uninstall")
        return
    if sys.platform == "darwin":
        _do("launchctl", "bootout", f"gui/{os.getuid()}/{LABEL}")
        path.unlink()
    else:
        _do("systemctl", "--user", "disable", "--now", path.name)
        path.unlink()
        _do("systemctl", "--user", "daemon-reload")
    out(f"removed {path}")


def _unit() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "systemd" / "user" / "spinbot.service"


def _launch_agent() -> Path:
    return Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"


def _command() -> list[str]:
    return [sys.executable, "-m", "spinbot_daemon"]


def _environment(client: Client) -> dict[str, str]:
    ours = {
        name: value
        for name, value in sorted(os.environ.items())
        if (name.startswith("SPINBOT_") and name not in NOT_KEPT) or name in KEPT
    }
    return {**ours, "SPINBOT_HOME": str(client.home.root)}


def _unit_text(client: Client) -> str:
    environment = "\n".join(f"Environment={_quoted(f'{name}={value}')}" for name, value in _environment(client).items())
    command = " ".join(_quoted(word).replace("$", "$$") for word in _command())
    return UNIT.format(command=command, environment=environment)


def _quoted(word: str) -> str:
    """As systemd reads it: see systemd.syntax(7), and % is a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'


def _plist(client: Client) -> str:
    agent = {
        "Label": LABEL,
        "ProgramArguments": _command(),
        "EnvironmentVariables": _environment(client),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ExitTimeOut": 15,
    }
    return plistlib.dumps(agent).decode()


def _do(*command: str) -> None:
    shown = " ".join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise SpinbotError(
            f"{command[0]} is not on this machine", hint="have your own service manager run: spinbot daemon run"
        ) from error
    if done.returncode != 0:
        why = (done.stderr or done.stdout).strip() or f"it ended with {done.returncode}"
        raise SpinbotError(f"{shown}: {why}", hint=f"the service file is in place; type it yourself: {shown}")
