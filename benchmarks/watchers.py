"""Many watchers on one job: does each get every event, how late, and what does the job itself feel of it?"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.table import Table, quantiles
from spinbot.jobs import TalkSpec, new_job
from spinbot.store import JobStore, connect

WATCHERS = 1000
WORK_MB = 60
"""Hashed in a step: some 50 ms of one core."""
SECONDS = 30
CLIENTS = 2
"""Processes that the watchers are spread over: what they cost is theirs, not the daemon's."""
LOW = ("nice", "-n", "19")
STEPPING = """
import hashlib, sys, time
from spinbot.home import Home
from spinbot.store import JobStore, connect
from spinbot_workers.reporter import Reporter
url, job_id, steps, amount = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
store = JobStore(connect(url))
store.beat("bench", {"lane": "train"})
job = store.begin(job_id, 1, "bench")
report = Reporter(store, job, {"work": 1.0})
block = bytes(1 << 20)
def work():
    digest = hashlib.sha256()
    for _ in range(amount):
        digest.update(block)
taken = []
for step in range(1, steps + 1):
    began = time.perf_counter()
    work()
    report.step("work", step, steps, "Working")
    taken.append(time.perf_counter() - began)
    if step % 40 == 0:
        store.beat("bench", {"lane": "train"})
    time.sleep(max(0.0, 0.1 - taken[-1]))
report.close()
from spinbot.jobs import Completed
store.finish(job_id, 1, Completed(result={}))
taken.sort()
print(taken[len(taken) // 2])
"""


class Watcher(asyncio.Protocol):
    """The least that a WebSocket client can be: counts what it gets and how late each event is."""

    def __init__(self, job_id: str, there: asyncio.Future[None], done: asyncio.Future[None]) -> None:
        self._ask = (
            f"GET /ws?jobId={job_id} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        ).encode()
        self._there = there
        self._done = done
        self._buffer = b""
        self._open = False
        self.steps: list[int] = []
        self.late: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._ask)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        self._buffer += data
        if not self._open:
            _, gap, rest = self._buffer.partition(b"\r\n\r\n")
            if not gap:
                return
            self._open, self._buffer = True, rest
        while (frame := self._frame()) is not None:
            event = json.loads(frame or b"{}")
            if event.get("type") == "snapshot":
                self._there.set_result(None)
            if event.get("type") == "progress":
                self.steps.append(event["step"])
                self.late.append(now - int(event["id"].partition("-")[0]) / 1000)

    def _frame(self) -> bytes | None:
        """The text in the next whole frame, empty for a ping or a close. A server's frames are not masked."""
        if len(self._buffer) < 2 or (self._buffer[1] & 127 == 126 and len(self._buffer) < 4):
            return None
        size, start = self._buffer[1] & 127, 2
        if size == 126:
            size, start = int.from_bytes(self._buffer[2:4], "big"), 4
        if len(self._buffer) < start + size:
            return None
        text = self._buffer[start : start + size] if self._buffer[0] & 15 == 1 else b""
        self._buffer = self._buffer[start + size :]
        return text

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._done.set_result(None)


async def watch(socket: str, job_id: str, count: int) -> None:
    """Prints "ready", and at the end of the job one JSON line: missing events, latencies in seconds."""
    loop = asyncio.get_running_loop()
    there = [loop.create_future() for _ in range(count)]
    ends = [loop.create_future() for _ in range(count)]
    watchers: list[Watcher] = []
    for each, end in zip(there, ends, strict=True):
        make = partial(Watcher, job_id, each, end)
        watchers.append((await loop.create_unix_connection(make, socket))[1])
    await asyncio.gather(*there)
    print("ready", flush=True)
    await asyncio.gather(*ends)
    most = max((watcher.steps for watcher in watchers), key=len)
    missing = sum(watcher.steps != most for watcher in watchers)
    late = sorted(value for watcher in watchers for value in watcher.late)
    print(
        json.dumps(
            {"events": len(most), "first": most[0], "missing": missing, "late": late[:: max(1, len(late) // 20_000)]}
        )
    )


def measure(socket: Path, broker: Path) -> Table:
    """The same stepping process, alone and with WATCHERS watchers, each for SECONDS."""
    store = JobStore(connect(f"unix://{broker}"))
    alone, _ = _run(store, socket, broker, 0)
    watched, said = _run(store, socket, broker, WATCHERS)
    late = [value for each in said for value in each["late"]]
    middle, worst = quantiles(late)
    incomplete = sum(each["missing"] for each in said)
    title = f"{WATCHERS} watchers of one job, 10 events a second for {SECONDS} s"
    table = Table(title, ["", "value", "ratio", "wanted"])
    table.add("events of the job that were sent to each", str(said[0]["events"]), "", "")
    table.add("watchers that missed one", str(incomplete), "", "0")
    table.add("event - watcher, p50, ms", f"{1000 * middle:.1f}", "", "")
    table.add("event - watcher, p99, ms", f"{1000 * worst:.1f}", "", "")
    table.add("a step of the job, nobody watching, ms", f"{1000 * alone:.2f}", "1.000", "")
    table.add("a step of the job, all watching, ms", f"{1000 * watched:.2f}", f"{watched / alone:.3f}", "below 1.030")
    return table


def _run(store: JobStore, socket: Path, broker: Path, count: int) -> tuple[float, list[dict[str, Any]]]:
    # Waits for a job that does not exist, so that no worker of the daemon takes it from the stepping process.
    job = store.add(new_job(TalkSpec(prompt="bench", say="bench", scene=""), after="gen-zzzzzz"))
    clients = [
        subprocess.Popen(
            [
                "nice",
                "-n",
                "19",
                sys.executable,
                "-m",
                "benchmarks.watchers",
                str(socket),
                job.id,
                str(count // CLIENTS),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(CLIENTS if count else 0)
    ]
    for client in clients:
        assert client.stdout is not None
        assert client.stdout.readline() == "ready\n"
    words = [sys.executable, "-c", STEPPING, f"unix://{broker}", job.id, str(SECONDS * 10), str(WORK_MB)]
    step = float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    return step, [json.loads(client.communicate(timeout=60)[0]) for client in clients]


if __name__ == "__main__":
    asyncio.run(watch(sys.argv[1], sys.argv[2], int(sys.argv[3])))
