"""The daemon of this home as a process: whether it runs, what it says of itself, and how it ends."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from typing import Any

from spinbot.errors import DaemonUnreachable
from spinbot_cli.client import START_HINT, Client

STOP_WITHIN = 15.0


def end(client: Client) -> bool:
    """Have it end, if it runs; whether it did. Raises DaemonUnreachable."""
    known = facts(client)
    if not known or not runs(client):
        return False
    os.kill(known["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN
    while runs(client):
        if time.monotonic() > deadline:
            raise DaemonUnreachable(f"the daemon, pid {known['pid']}, does not end", hint=f"kill -9 {known['pid']}")
        time.sleep(0.05)
    return True


def facts(client: Client) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(client.home.daemon_file.read_text())
        return known
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DaemonUnreachable(f"{client.home.daemon_file} cannot be read: {error}", hint=START_HINT) from error


def runs(client: Client) -> bool:
    """Whether a daemon holds the lock of this home. Its pid alone may be another program's by now, or a zombie's."""
    try:
        with client.home.daemon_lock.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
