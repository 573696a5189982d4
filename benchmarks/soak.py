"""`make soak`: 2,000 small jobs from 20 shells at once, 50 watchers, random cancels. What holds, and what grows?"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import unix_connect

from benchmarks.table import Table
from spinbot.events import event_key
from spinbot.home import Home
from spinbot.store import JobStore, connect

JOBS, SHELLS, WATCHERS = 2000, 20, 50
CANCELLED_OF = 20
"""One job of so many is cancelled somewhere in its life."""
OVER = {"completed", "failed", "cancelled"}
SPINBOT = str(Path(sys.executable).with_name("spinbot"))


class Watchers(threading.Thread):
    """WATCHERS connections that see every event of every job, and keep the changes of state."""

    def __init__(self, socket: Path) -> None:
        super().__init__(daemon=True)
        self._socket = str(socket)
        self._enough = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.changes: list[list[str]] = [[] for _ in range(WATCHERS)]
        self.gaps = 0

    def run(self) -> None:
        self._loop.run_until_complete(self._all())

    async def _all(self) -> None:
        connections = [await unix_connect(self._socket, "ws://localhost/ws", max_queue=None) for _ in self.changes]
        self.ready.set()
        reading = [asyncio.create_task(self._one(*pair)) for pair in zip(connections, self.changes, strict=True)]
        await self._enough.wait()
        for connection in connections:
            await connection.close()
        await asyncio.gather(*reading)

    async def _one(self, connection: Any, changes: list[str]) -> None:
        async for text in connection:
            event = json.loads(text)
            if event["type"] == "state":
                changes.append(event["id"])
            self.gaps += event["type"] == "gap"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._enough.set)
        self.join()


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="spinbot-soak-") as folder:
        environment = {**os.environ, "SPINBOT_HOME": folder, "SPINBOT_LANES": '["generate"]'}
        home = Home(Path(folder))
        subprocess.run([SPINBOT, "daemon", "start"], env=environment, check=True, stdout=subprocess.DEVNULL)
        try:
            wrong = soak(home, environment, random.Random(seed))
        finally:
            subprocess.run([SPINBOT, "daemon", "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)
    for line in wrong:
        print(line)
    print("every invariant held" if not wrong else f"{len(wrong)} violations")
    sys.exit(bool(wrong))


def soak(home: Home, environment: dict[str, str], chance: random.Random) -> list[str]:
    """Prints the tables; returns what did not hold."""
    store = JobStore(connect(f"unix://{home.broker_socket}"))
    daemon = psutil.Process(json.loads(home.daemon_file.read_text())["pid"])
    subprocess.run(
        [SPINBOT, "generate", "--prompt", "hello", "--audio"], env=environment, check=True, stdout=subprocess.DEVNULL
    )  # the voice is loaded before anything is measured
    growth = Table("What grows", ["after jobs", *(f"{role} {what}" for role in ROLES for what in ("MB", "fds"))])
    first_event = store.newest_id()
    growth.add("0", *_sizes(daemon))
    watchers = Watchers(home.socket)
    watchers.start()
    watchers.ready.wait(60)
    began = time.monotonic()
    shells = [_shell(Path(environment["SPINBOT_HOME"]), number, environment) for number in range(SHELLS)]
    submitted_in, asked = _until_over(store, shells, environment, chance, growth, daemon)
    took = time.monotonic() - began
    watchers.stop()
    growth.add(f"{JOBS:,}, watchers gone", *_sizes(daemon))
    jobs = store.newest(limit=JOBS)
    ends = Counter(job.state for job in jobs)
    wrong = [f"shell ended with {shell.returncode}" for shell in shells if shell.returncode]
    wrong += [] if len(jobs) == JOBS and all(job.is_over for job in jobs) else [f"ended: {dict(ends)}"]
    said, moved = _from_events(store, [job.id for job in jobs], wrong)
    after = event_key(first_event)
    for number, changes in enumerate(watchers.changes):
        seen = [change for change in changes if event_key(change) > after]
        if seen != said:
            wrong.append(f"watcher {number} saw {len(seen)} changes, there were {len(said)}")
    table = Table(f"{JOBS:,} jobs, {SHELLS} shells, {WATCHERS} watchers", ["", "value"])
    table.add("submitted in, s", f"{submitted_in:.0f}")
    table.add("over in, s", f"{took:.0f}")
    table.add("completed / cancelled / failed", f"{ends['completed']} / {ends['cancelled']} / {ends['failed']}")
    table.add("asked to cancel", str(asked))
    table.add("changes of state that each watcher saw", f"{len(said):,}")
    table.add("gaps told to watchers", str(watchers.gaps))
    table.add("places a job began before or after its turn, at most", str(moved))
    print(table, growth, sep="\n", flush=True)
    for number in range(SHELLS):
        wrong += _out_of_turn(store, _ids(Path(environment["SPINBOT_HOME"]), number))
    return wrong


def _ids(home: Path, number: int) -> Path:
    return home / f"ids{number}.txt"


def _out_of_turn(store: JobStore, ids: Path) -> list[str]:
    """Jobs that began before one that was answered before they were sent: those of one shell, in its order."""
    begun = [
        event_key(event.id)
        for job_id in ids.read_text().split()
        for event in store.events(job_id)
        if event.type == "state" and event.state == "active"
    ]
    if not begun:
        return [f"{ids.stem} is empty: its shell submitted nothing"]
    early = sum(later < earlier for earlier, later in itertools.pairwise(begun))
    return [f"the queue's order: {early} jobs of {ids.stem} began before an earlier one"] if early else []


def _shell(home: Path, number: int, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    lines = home / f"lines{number}.txt"
    lines.write_text("hi\n" * (JOBS // SHELLS))
    words = [SPINBOT, "generate", "--prompts-file", str(lines), "--audio", "--detach"]
    with _ids(home, number).open("wb") as ids:
        return subprocess.Popen(words, env=environment, stdout=ids)


def _until_over(
    store: JobStore,
    shells: list[subprocess.Popen[bytes]],
    environment: dict[str, str],
    chance: random.Random,
    growth: Table,
    daemon: psutil.Process,
) -> tuple[float, int]:
    """Seconds until the last was submitted, and how many cancels were asked for."""
    began, submitted_in, asked, marks = time.monotonic(), 0.0, 0, [JOBS // 4, JOBS // 2, 3 * JOBS // 4]
    cancelling: list[subprocess.Popen[bytes]] = []
    while (over := sum(store.count(state) for state in ("completed", "failed", "cancelled"))) < JOBS + 1:
        if not submitted_in and all(shell.poll() is not None for shell in shells):
            submitted_in = time.monotonic() - began
        if asked < JOBS // CANCELLED_OF and asked <= over // CANCELLED_OF:
            live = [job.id for state in ("active", "queued") for job in store.newest(state=state, limit=200)]
            if live:
                words = [SPINBOT, "cancel", chance.choice(live)]
                cancelling.append(
                    subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                )
                asked += 1
        if marks and over >= marks[0]:
            growth.add(f"{marks.pop(0):,}", *_sizes(daemon))
        if time.monotonic() - began > 3000:
            break
        time.sleep(0.25)
    for process in [*cancelling, *shells]:
        process.wait(60)
    return submitted_in, asked


def _from_events(store: JobStore, job_ids: list[str], wrong: list[str]) -> tuple[list[str], int]:
    """Ids of all changes of state in order, and how far from its turn a job began at most."""
    said: list[str] = []
    queued: dict[str, tuple[int, int]] = {}
    begun: dict[str, tuple[int, int]] = {}
    for job_id in job_ids:
        states = [event for event in store.events(job_id) if event.type == "state"]
        said += [event.id for event in states]
        if sum(event.state in OVER for event in states) != 1:
            wrong.append(f"{job_id}: {[event.state for event in states]}")
        if sum(event.state == "active" for event in states) > 1:
            wrong.append(f"{job_id} ran twice")
        queued[job_id] = event_key(states[0].id)
        begun.update((job_id, event_key(event.id)) for event in states if event.state == "active")
    turn = {job_id: place for place, job_id in enumerate(sorted(begun, key=queued.__getitem__))}
    moved = (abs(place - turn[job_id]) for place, job_id in enumerate(sorted(begun, key=begun.__getitem__)))
    return sorted(said, key=event_key), max(moved, default=0)


ROLES = {"supervisor": "", "gateway": "spinbot_daemon.gateway", "valkey": "valkey-server", "worker": "spinbot_workers"}


def _sizes(daemon: psutil.Process) -> list[str]:
    children = {" ".join(child.cmdline()): child for child in daemon.children()}
    found: list[str] = []
    for mark in ROLES.values():
        process = next((child for words, child in children.items() if mark in words), daemon) if mark else daemon
        found += [str(process.memory_info().rss >> 20), str(process.num_fds())]
    return found


if __name__ == "__main__":
    main()
