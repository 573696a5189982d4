"""What the job system costs: from a request to its answer, to the start of its job, and from an event to a watcher."""

from __future__ import annotations

import http.client
import json
import socket
import time
from pathlib import Path
from typing import Any

from websockets.sync.client import unix_connect

from benchmarks.table import Table, quantiles

JOBS = 30


class OverSocket(http.client.HTTPConnection):
    """HTTP to the daemon's unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))

    def ask(self, method: str, path: str, body: object = None) -> Any:
        self.request(method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"})
        answer = self.getresponse()
        data = answer.read()
        self.close()  # the server closes an idle connection between long jobs; http.client opens another
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status} {data.decode()}")
        return json.loads(data)


def measure(socket_path: Path) -> Table:
    """Short audio jobs, one after another, on a worker that is idle and warm."""
    daemon = OverSocket(socket_path)
    answers: list[float] = []
    starts: list[float] = []
    delays: list[float] = []
    events: list[dict[str, Any]] = []
    for index in range(JOBS + 1):
        began = time.time()
        job_id = daemon.ask("POST", "/api/generate", {"prompt": "hello", "output": "audio", "seed": index})["jobId"]
        answered = time.time()
        events = []
        with unix_connect(str(socket_path), f"ws://localhost/ws?jobId={job_id}&after=0") as watcher:
            for message in watcher:
                now = time.time()
                event = json.loads(message)
                events.append(event)
                if (
                    event["type"] != "snapshot"
                    and event["state"] == "active"
                    and int(event["id"].split("-")[0]) > 1000 * answered
                ):
                    delays.append(now - int(event["id"].split("-")[0]) / 1000)
        if index == 0:
            continue  # the first one loads the voice
        answers.append(answered - began)
        started = next(event for event in events if event["type"] == "state" and event["state"] == "active")
        starts.append(int(started["id"].split("-")[0]) / 1000 - began)
    table = Table("Job system, ms", ["from - to", "p50", "p99", "n"])
    for name, values in (
        ("submit - queued answer", answers),
        ("submit - job start, idle warm worker", starts),
        ("worker's event - watcher", delays),
    ):
        middle, worst = quantiles(values)
        table.add(name, f"{1000 * middle:.1f}", f"{1000 * worst:.1f}", str(len(values)))
    return table
