"""The real daemon: what it starts, what it starts again, and how it ends."""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.sync.client import connect as connect_tcp
from websockets.sync.client import unix_connect

from spinbot.home import Home
from spinbot.jobs import Completed, Job, TalkSpec, new_job
from spinbot.store import JobStore, connect

needs_workers = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="the workers are not installed")


@dataclass
class Daemon:
    """`python -m spinbot_daemon` under a home of its own."""

    home: Home
    eventually: Callable[..., Any]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, *lanes: str, **environment: str) -> subprocess.Popen[bytes]:
        settings = {"SPINBOT_LANES": json.dumps(lanes), **environment}
        process = subprocess.Popen(
            [sys.executable, "-m", "spinbot_daemon"], env={**os.environ, **settings}, stderr=subprocess.PIPE
        )
        self.processes.append(process)
        self.eventually(lambda: self.home.daemon_file.exists() or process.poll() is not None, "it is up", within=20)
        return process

    def child(self, words: str, process: subprocess.Popen[bytes] | None = None) -> psutil.Process | None:
        """The child whose command line has `words` in it."""
        parent = psutil.Process((process or self.processes[-1]).pid)
        for child in parent.children():
            try:
                if words in " ".join(child.cmdline()):
                    return child
            except psutil.NoSuchProcess:
                continue
        return None

    def pid_of(self, words: str) -> int:
        child: psutil.Process = self.eventually(lambda: self.child(words), f"{words} runs")
        return child.pid

    @property
    def http(self) -> httpx.Client:
        transport = httpx.HTTPTransport(uds=str(self.home.socket))
        return httpx.Client(transport=transport, base_url="http://localhost", timeout=10)

    @property
    def store(self) -> JobStore:
        return JobStore(connect(f"unix://{self.home.broker_socket}"))

    def submit(self) -> Job:
        return self.store.get(self.http.post("/api/generate", json={"prompt": "hi"}).json()["jobId"])


@pytest.fixture
def daemon(home: Home, eventually: Callable[..., Any]) -> Iterator[Daemon]:
    daemon = Daemon(home, eventually)
    yield daemon
    for process in daemon.processes:
        if process.poll() is None:
            process.terminate()
            process.wait(15)
        assert process.stderr is not None
        process.stderr.close()


def test_it_says_where_it_is_and_removes_that_when_it_stops(daemon, home):
    process = daemon.start()
    facts = json.loads(home.daemon_file.read_text())
    assert facts["pid"] == process.pid
    assert facts["socket"] == str(home.socket)
    assert httpx.get(facts["url"] + "/health").json()["status"] == "ok"
    children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    assert process.wait(10) == 0
    assert not home.daemon_file.exists()
    assert not any(child.is_running() for child in children)


def test_everything_is_the_users_alone_and_nothing_secret_is_in_a_command_line_or_log(daemon, home):
    process = daemon.start(SPINBOT_LOG_LEVEL="DEBUG")
    for path in (home.root / "run", home.broker, home.broker / "valkey.conf", home.token_file, home.socket):
        assert path.stat().st_mode & 0o077 == 0, path
    token = home.token_file.read_text().strip()
    url = json.loads(home.daemon_file.read_text())["url"]
    with connect_tcp(f"{url.replace('http', 'ws')}/ws?token={token}") as watcher:
        watcher.ping().wait(5)
    commands = [" ".join(child.cmdline()) for child in psutil.Process(process.pid).children(recursive=True)]
    assert len(commands) == 2
    assert not any(token in command for command in commands)
    assert not any(token in path.read_text() for path in home.logs.iterdir())


def test_one_daemon_per_home(daemon, home):
    daemon.start()
    second = subprocess.run([sys.executable, "-m", "spinbot_daemon"], capture_output=True, text=True, timeout=20)
    assert second.returncode == 4
    assert "already running" in second.stderr
    assert daemon.http.get("/health").status_code == 200


def test_data_of_a_newer_version_is_refused_and_nothing_in_it_is_changed(daemon, home):
    daemon.start().terminate()
    daemon.processes[0].wait(15)
    assert home.format_file.read_text() == "1\n"
    home.format_file.write_text("2\n")
    before = {path: path.read_bytes() for path in home.broker.rglob("*") if path.is_file()}
    process = daemon.start()
    assert process.wait(15) != 0
    said = process.stderr.read()
    assert b"written by a newer spinbot" in said
    assert b"nothing was changed" in said
    assert {path: path.read_bytes() for path in home.broker.rglob("*") if path.is_file()} == before


def test_a_port_in_use_is_said(daemon, home):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = daemon.start(SPINBOT_PORT=str(taken.getsockname()[1]))
        assert process.wait(10) == 2
    assert b"SPINBOT_PORT" in process.stderr.read()


def test_kill_9_of_valkey_loses_nothing_that_was_answered(daemon, eventually):
    daemon.start()
    jobs = [daemon.submit() for _ in range(3)]
    with unix_connect(str(daemon.home.socket), f"ws://localhost/ws?jobId={jobs[0].id}") as watcher:
        watcher.recv(timeout=5)
        valkey = daemon.pid_of("valkey-server")
        os.kill(valkey, signal.SIGKILL)
        eventually(lambda: (child := daemon.child("valkey-server")) and child.pid != valkey, "valkey is back")
        listed = daemon.http.get("/api/jobs").json()["jobs"]  # waits for it
        assert {job["jobId"] for job in listed} == {job.id for job in jobs}
        daemon.store.begin(jobs[0].id, 1, "w")
        daemon.store.finish(jobs[0].id, 1, Completed(result={}))
        states = [json.loads(text)["state"] for text in watcher]
        assert states == ["active", "completed"]


def test_kill_9_of_the_gateway_is_mended_within_two_seconds_at_the_same_address(daemon, eventually):
    daemon.start()
    job = daemon.submit()
    url = json.loads(daemon.home.daemon_file.read_text())["url"]
    with unix_connect(str(daemon.home.socket), f"ws://localhost/ws?jobId={job.id}") as watcher:
        last = json.loads(watcher.recv(timeout=5))["id"]
        killed = time.monotonic()
        os.kill(daemon.pid_of("spinbot_daemon.gateway"), signal.SIGKILL)
        assert httpx.get(url + "/health", timeout=10).status_code == 200
        assert time.monotonic() - killed < 2 * patience()
    daemon.store.cancel(job.id)
    with unix_connect(str(daemon.home.socket), f"ws://localhost/ws?jobId={job.id}&after={last}") as watcher:
        assert [json.loads(text)["state"] for text in watcher] == ["cancelled", "cancelled"]


def test_kill_9_of_the_daemon_leaves_no_orphan_and_the_next_start_goes_on(daemon, eventually):
    process = daemon.start()
    job = daemon.submit()
    daemon.store.begin(job.id, 1, "w")
    children = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.wait(5)
    eventually(lambda: not any(_runs(child) for child in children), "all children are gone")
    daemon.home.daemon_file.unlink()  # it could not
    daemon.start()
    again = daemon.store.get(job.id)
    assert (again.state, again.attempt) == ("queued", 2)


def test_a_light_install_says_so_and_does_not_start_workers(daemon, home, tmp_path):
    """As if torch were not there: a module of that name that cannot be found."""
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "find = u.find_spec\n"
        "u.find_spec = lambda n, *a: None if n == 'torch' else find(n, *a)\n"
    )
    process = daemon.start("train", PYTHONPATH=str(tmp_path))
    assert daemon.child("spinbot_workers", process) is None
    answer = daemon.http.get("/health").json()
    assert "torch is not installed" in answer["problems"][0]
    assert "torch is not installed" in (home.logs / "daemon.log").read_text()


@needs_workers
class TestWorker:
    """A real worker. That it is at the job is said on its behalf: what a job does is tested elsewhere."""

    def test_kill_9_is_noticed_within_a_second_and_the_job_queued_again(self, daemon, eventually):
        daemon.start("train")
        name = self.name_of(daemon.pid_of("spinbot_workers"))
        job = daemon.store.add(new_job(TalkSpec(prompt="hi", say="hi", scene="")))
        daemon.store.begin(job.id, 1, name)
        store = daemon.store
        killed = time.monotonic()
        os.kill(daemon.pid_of("spinbot_workers"), signal.SIGKILL)
        eventually(lambda: store.get(job.id).state == "queued", "it is queued again")
        assert time.monotonic() - killed < patience()
        assert store.get(job.id).attempt == 2
        assert "SIGKILL" in store.get(job.id).status.reason
        eventually(lambda: daemon.child("spinbot_workers"), "another worker runs")
        assert self.name_of(daemon.pid_of("spinbot_workers")) != name

    def test_is_told_to_leave_and_is_gone_within_ten_seconds(self, daemon, eventually):
        process = daemon.start("train")
        eventually(lambda: daemon.store.workers(), "the worker beats", within=25)
        worker = daemon.pid_of("spinbot_workers")
        asked = time.monotonic()
        process.terminate()
        assert process.wait(10) == 0
        assert time.monotonic() - asked < 10
        assert not psutil.pid_exists(worker)

    def test_asked_twice_it_ends_at_once_even_when_the_worker_does_not_listen(self, daemon, eventually):
        process = daemon.start("train")
        worker = psutil.Process(daemon.pid_of("spinbot_workers"))
        worker.suspend()
        eventually(lambda: worker.status() == psutil.STATUS_STOPPED, "the worker is stopped")
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.wait(4) == 0
        assert not _runs(worker)

    def test_one_that_hangs_is_killed_when_its_job_is_cancelled_and_another_takes_the_next(self, daemon, eventually):
        daemon.start("train", SPINBOT_STOP_GRACE="1")
        store = daemon.store
        eventually(store.workers, "the worker beats", within=25)
        worker = psutil.Process(daemon.pid_of("spinbot_workers"))
        job = store.add(new_job(TalkSpec(prompt="hi", say="hi", scene="")))
        name = self.name_of(worker.pid)
        store.begin(job.id, 1, name)
        worker.suspend()  # every thread of it stands still, as in C code that keeps the interpreter's lock
        assert daemon.http.delete(f"/api/jobs/{job.id}").is_success
        eventually(lambda: store.get(job.id).is_over, "the job is over", within=6)  # 1 s, 2 s more, and a look a second
        assert store.get(job.id).state == "cancelled"
        assert "had to be killed" in store.get(job.id).status.reason
        eventually(lambda: not _runs(worker), "the process is gone")
        eventually(lambda: set(store.workers()) - {name}, "another worker beats", within=25)
        assert store.get(job.id).state == "cancelled"

    @staticmethod
    def name_of(pid: int) -> str:
        return psutil.Process(pid).cmdline()[-1]


def patience() -> float:
    """1 on an idle machine, more on one that is busy: the promise is for the former."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_lock_goes_with_the_process(daemon, home):
    daemon.start().terminate()
    daemon.processes[0].wait(10)
    with Path(home.daemon_lock).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
