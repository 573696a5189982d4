"""A daemon of its own to break: its processes by their role, and the ways in which each can die."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from websockets.exceptions import WebSocketException
from websockets.sync.client import unix_connect

from spinbot.home import Home

MARKS = {
    "train": "spinbot_workers --lane train",
    "generate": "spinbot_workers --lane generate",
    "gateway": "gateway",
    "valkey": "valkey-server",
}


def until(condition: Callable[[], Any], what: str, within: float = 60) -> Any:
    """The first true answer of `condition`. Raises AssertionError naming what never came true."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"within {within} s it never came true that {what}"
        time.sleep(0.02)
    return answer


@dataclass
class Machine:
    """The supervisor in a session of its own, so that a power cut can take it with all its children."""

    home: Home
    environment: dict[str, str] = field(default_factory=dict)
    supervisor: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """What the next command of a user does."""
        with (self.home.root / "daemon-output.log").open("ab") as output:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "spinbot_daemon"],
                env={**os.environ, "SPINBOT_HOME": str(self.home.root), **self.environment},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until(self.answers, "the daemon answers")

    def ensure(self) -> None:
        if self.supervisor is None or self.supervisor.poll() is not None:
            self.start()

    def stop(self) -> None:
        if self.supervisor is not None and self.supervisor.poll() is None:
            self.supervisor.terminate()
            try:
                self.supervisor.wait(20)
            except subprocess.TimeoutExpired:
                self.power_cut()

    def answers(self) -> bool:
        try:
            return bool(self.ask("GET", "/health")["status"] == "ok")
        except (OSError, http.client.HTTPException, Refused):
            return False

    def ask(self, method: str, path: str, body: object = None, key: str = "") -> Any:
        """One request over the unix socket. Raises OSError or HTTPException when it breaks, Refused on 4xx and 5xx."""
        headers = {"Content-Type": "application/json", **({"Idempotency-Key": key} if key else {})}
        connection = _OverSocket(self.home.socket)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise Refused(answer.status, data.decode(errors="replace"))
        return json.loads(data)

    def submit(self, path: str, body: object, key: str) -> str:
        """As the CLI does: again with the same key until it is answered."""

        def answered() -> str:
            try:
                return str(self.ask("POST", path, body, key)["jobId"])
            except Refused as refused:
                if refused.status < 500:
                    raise
            except (OSError, http.client.HTTPException):
                pass
            return ""

        return str(until(answered, "a submission is answered", within=90))

    # -- ways to die

    def process(self, role: str) -> psutil.Process | None:
        if self.supervisor is None or self.supervisor.poll() is not None:
            return None
        try:
            children = psutil.Process(self.supervisor.pid).children(recursive=True)
            return next((child for child in children if MARKS[role] in " ".join(child.cmdline())), None)
        except psutil.NoSuchProcess:
            return None

    def kill(self, role: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send `number` to the process of that role; its pid, or 0 when there is none just now."""
        process = self.process(role)
        if process is None:
            return 0
        process.send_signal(number)
        return int(process.pid)

    def kill_supervisor(self) -> list[psutil.Process]:
        """Its children as they were, to see that none is left."""
        assert self.supervisor is not None
        children = psutil.Process(self.supervisor.pid).children(recursive=True)
        self.supervisor.kill()
        self.supervisor.wait()
        return list(children)

    def power_cut(self) -> None:
        """Everything at once, before anybody can react."""
        assert self.supervisor is not None
        everyone = psutil.Process(self.supervisor.pid).children(recursive=True)
        self.supervisor.kill()
        for process in everyone:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self.supervisor.wait()
        psutil.wait_procs(everyone, timeout=20)


class Refused(Exception):
    """The daemon answered, and the answer is no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(self._path))


class Watcher(threading.Thread):
    """Follows one job to its end through every break, going on after the last id it saw."""

    def __init__(self, home: Home, job_id: str) -> None:
        super().__init__(daemon=True)
        self.job_id = job_id
        self.events: list[dict[str, Any]] = []
        self.over = False
        self.gave_up = threading.Event()
        self._path = home.socket

    def run(self) -> None:
        last = "0"
        while not self.over and not self.gave_up.is_set():
            try:
                uri = f"ws://localhost/ws?jobId={self.job_id}&after={last}"
                with unix_connect(str(self._path), uri, open_timeout=5) as connection:
                    for message in connection:
                        event = json.loads(message)
                        if event["type"] in {"snapshot", "gap"}:
                            continue
                        self.events.append(event)
                        last = event["id"]
                        if event["type"] == "state" and event["state"] in {"completed", "failed", "cancelled"}:
                            self.over = True
            except (OSError, WebSocketException):
                self.gave_up.wait(0.1)
