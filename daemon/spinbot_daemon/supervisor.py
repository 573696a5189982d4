"""The parent of all: broker, gateway and one worker per lane. Starts them, starts them again, and stops them in order.

It runs no job and answers no request, so there is little in it that can fail. One loop takes what happened (a child
ended, a signal came, time passed) from one queue; threads only wait for processes and copy their output.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import logging
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from pydantic import ValidationError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

import spinbot
from spinbot.errors import NotAllowed, SpinbotError
from spinbot.files import mend_folder, write_atomic
from spinbot.settings import Settings
from spinbot.store import JobStore, connect
from spinbot_daemon.broker import Broker, answers
from spinbot_daemon.child import QUICK, Child
from spinbot_daemon.format import check_format
from spinbot_daemon.recovery import Recovery
from spinbot_daemon.sockets import listen_tcp, listen_unix, url_of
from spinbot_daemon.token import ensure_token
from spinbot_daemon.transport import Transport

SWEEP = 5.0
"""Seconds between sweeps."""
HUNG_POLL = 1.0
"""Seconds between looks for workers that do not stop when asked."""
HUNG_GRACE = 2.0
"""Seconds more than the worker's own grace: one that can end itself says better why."""
UP_WITHIN = 30.0
"""Seconds broker and gateway have to come up; reading a large log takes a while."""
HOME_POLL = 1.0
"""Seconds between looks whether the home is still there."""
WORKERS_STOP = 8.0
"""Seconds the workers have to write a checkpoint; the daemon is gone within ten."""
NEEDED = ("spinbot_workers", "torch", "diffusers", "TTS")
NOT_INSTALLED = "the workers cannot start: {} not installed; pip install 'spinbot[workers]' and restart the daemon"

log = logging.getLogger(__name__)


class Supervisor:
    """One per home, held by a lock.

    Args:
        workers_only: this machine lends its workers to a broker elsewhere (`REDIS_URL`).
    """

    def __init__(self, settings: Settings, *, workers_only: bool = False) -> None:
        self._settings = settings
        self._home = settings.folders
        self._workers_only = workers_only
        self._happened: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._terms = 0
        self._homeless = False
        self._alarms: list[tuple[float, Callable[[], None]]] = []
        self._broker: Child | None = None
        self._gateway: Child | None = None
        self._workers: dict[str, Child] = {}
        self._dead: dict[str, str] = {}
        self._problems: dict[str, str] = {}
        self._sockets: tuple[socket.socket, ...] = ()
        url = settings.broker_url()
        retry = Retry(NoBackoff(), 0)  # the loop itself tries again; it must not stand still
        options: dict[str, Any] = {"retry": retry, "socket_timeout": 2, "socket_connect_timeout": 2}
        self._redis = connect(url, **options)
        self._store = JobStore(self._redis)
        self._recovery = Recovery(self._store, Transport(Redis.from_url(url, **options)))

    # -- life

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Raises NotAllowed when another daemon holds the home."""
        self._home.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._lock()
        self._in(HOME_POLL, lambda: self._check_home(lock))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            self._start()
            while not self._terms:
                self._turn()
        finally:
            self._stop()
            os.close(lock)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)  # one more while Python winds up is no failure

    def _start(self) -> None:
        check_format(self._home)
        self._note_problems()
        if self._settings.redis_url is None:
            for folder in (self._home.voices, self._home.looks):
                mend_folder(folder)  # no worker of ours runs yet, and there are no others
            broker = Broker(self._home)
            self._broker = self._child("valkey", broker.prepare, self._restart)
            self._broker.start()
        self._until(lambda: answers(self._redis), "the broker", self._broker)
        try:
            self._recovery.start(ours_alone=self._settings.redis_url is None)
        except ValidationError as error:
            raise SpinbotError(
                f"jobs in {self._home.broker} were written by another version and cannot be read",
                hint="start that version; nothing was changed",
            ) from error
        if not self._workers_only:
            self._start_gateway()
        self._start_workers()
        self._in(SWEEP, self._sweep)
        self._in(HUNG_POLL, self._kill_hung)
        log.info("up, pid %d", os.getpid())

    def _start_gateway(self) -> None:
        ensure_token(self._home)
        unix, tcp = listen_unix(self._home.socket), listen_tcp(self._settings)
        fds = (unix.fileno(), tcp.fileno())
        command = [sys.executable, "-m", "spinbot_daemon.gateway", "--fds", *map(str, fds)]
        self._gateway = self._child("gateway", lambda: command, self._restart, pass_fds=fds)
        self._gateway.start()
        self._sockets = (unix, tcp)
        self._until(self._gateway_answers, "the gateway", self._gateway)
        facts = {
            "pid": os.getpid(),
            "version": spinbot.__version__,
            "url": url_of(tcp, self._settings),
            "socket": str(self._home.socket),
            "started": time.time(),
        }
        write_atomic(self._home.daemon_file, json.dumps(facts) + "\n", mode=0o600)

    def _gateway_answers(self) -> bool:
        try:  # a plain request: an HTTP client would cost the supervisor megabytes
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(2)
                client.connect(str(self._home.socket))
                client.sendall(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return b" 200 " in client.recv(64)
        except OSError:
            return False

    def _start_workers(self) -> None:
        missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            problem = NOT_INSTALLED.format(f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'}")
            log.error("%s", problem)
            self._problems["install"] = problem
            self._note_problems()
            return
        for lane in self._settings.lanes:
            self._start_worker(lane)

    def _start_worker(self, lane: str, predecessor: Child | None = None) -> None:
        """A worker has a name of its own: RQ refuses the name of one that was killed until its entry ends."""
        name = f"{lane}-{secrets.token_hex(3)}"
        command = [sys.executable, "-m", "spinbot_workers", "--lane", lane, "--name", name]
        child = self._child(name, lambda: command, self._worker_ended, log_name=lane)
        if predecessor is not None:
            child.quick_deaths, child.starts = predecessor.quick_deaths, predecessor.starts
        self._workers[name] = child
        self._try(child)

    def _stop(self) -> None:
        """Workers first: they write checkpoints and hand their jobs back through the broker."""
        log.info("stopping")
        if not self._homeless:
            self._home.daemon_file.unlink(missing_ok=True)
        for child in self._workers.values():
            child.signal(signal.SIGTERM)
        if not self._gone(list(self._workers.values()), within=WORKERS_STOP):
            log.warning("workers did not stop in time")
        stubborn = [child for child in self._workers.values() if child.alive]
        self._kill(stubborn)
        self._give_back(stubborn)
        for last in (self._gateway, self._broker):
            if last is not None:
                last.signal(signal.SIGTERM)
                self._gone([last], within=0.8)
                self._kill([last])
        for listener in self._sockets:
            listener.close()
        if not self._workers_only and not self._homeless:
            self._home.socket.unlink(missing_ok=True)
        log.info("stopped")

    def _give_back(self, killed: list[Child]) -> None:
        if not killed or self._terms > 1:
            return  # asked twice: at once. The next start finds these jobs and queues them again.
        try:
            self._recovery.hand_back({child.name for child in killed}, "the daemon was stopped")
        except RedisError as error:
            log.warning("jobs could not be handed back, the next start does it: %s", error)

    def _gone(self, children: list[Child], *, within: float) -> bool:
        deadline = time.monotonic() + within
        while any(child.alive for child in children):
            if time.monotonic() > deadline or self._terms > 1:
                return False
            time.sleep(0.02)
        return True

    @staticmethod
    def _kill(children: list[Child]) -> None:
        for child in children:
            child.signal(signal.SIGKILL)
        for child in children:
            if child.process is not None:
                child.process.wait()

    # -- what happens

    def _turn(self) -> None:
        """Take one thing that happened, or the alarm that is due."""
        due, action = min(self._alarms, key=lambda alarm: alarm[0])
        try:
            self._happened.get(timeout=max(0.0, due - time.monotonic()))()
        except Empty:
            self._alarms.remove((due, action))
            action()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._terms += 1
        if self._terms > 1:
            for child in self._workers.values():
                child.signal(signal.SIGKILL)
        self._happened.put(lambda: None)  # wakes the loop; SimpleQueue.put may be called from a handler

    def _restart(self, child: Child) -> None:
        pause = child.pause()
        log.error("%s %s; starting it again in %g s", child.name, child.said(), pause)
        self._in(pause, lambda: self._try(child))

    def _try(self, child: Child) -> None:
        try:
            child.start()
        except OSError as error:  # no room for its configuration, no memory for a process: that may pass
            pause = max(1.0, child.pause())
            log.error("%s cannot be started: %s; again in %g s", child.name, error, pause)
            self._in(pause, lambda: self._try(child))

    def _worker_ended(self, child: Child) -> None:
        why = f"the worker {child.name} {child.said()}"
        del self._workers[child.name]
        self._dead[child.name] = why
        self._recover()
        lane = child.name.rpartition("-")[0]
        self._count_restart(lane)
        clean = child.process is not None and child.process.returncode == 0
        pause = 0.5 if clean else child.pause()
        log.error("%s; starting another in %g s", why, pause)
        if child.quick_deaths >= 3:
            self._problems[lane] = f"{why}, {child.quick_deaths} times in a row; {child.log_file} says why"
            self._note_problems()
        self._in(pause, lambda: self._start_worker(lane, child))

    def _count_restart(self, lane: str) -> None:
        try:
            self._store.count_up({f"restarts:{lane}": 1})
        except RedisError as error:
            log.warning("a restart of %s is not counted: %s", lane, error)

    def _recover(self) -> None:
        """Tell the queue about dead workers, at once or as soon as the broker is back."""
        try:
            for name, why in list(self._dead.items()):
                self._recovery.worker_died(name, why)
                self._store.forget_worker(name)
                del self._dead[name]
            self._recovery.reconcile()
        except RedisError as error:
            log.warning("the broker does not answer (%s); recovery waits", type(error).__name__)
        except ValidationError as error:
            log.error("a job cannot be read: %s", error)

    def _sweep(self) -> None:
        self._in(SWEEP, self._sweep)
        self._forget_mended()
        if self._dead:
            self._recover()
        try:
            self._recovery.sweep(self._workers)
        except RedisError as error:
            log.warning("the broker does not answer (%s); the sweep waits", type(error).__name__)
        except ValidationError as error:  # a record of another version: no reason to take the daemon down
            log.error("a job cannot be read: %s", error)

    def _check_home(self, lock: int) -> None:
        """Without its home the daemon holds nothing that anybody could reach: the next command starts another, and
        what may lie at the same place by then is that one's."""
        self._in(HOME_POLL, lambda: self._check_home(lock))
        try:
            self._homeless = not os.path.samestat(os.stat(self._home.daemon_lock), os.fstat(lock))
        except FileNotFoundError:
            self._homeless = True
        except OSError as error:
            log.error("%s cannot be looked at: %s", self._home.root, error)
            return
        if self._homeless:
            log.critical("%s was deleted or exchanged: stopping", self._home.root)
            self._terms += 1

    def _kill_hung(self) -> None:
        self._in(HUNG_POLL, self._kill_hung)
        try:
            hung = self._recovery.end_hung(self._workers, self._settings.stop_grace + HUNG_GRACE)
        except (RedisError, ValidationError):  # the sweep says so; this is asked again in a second
            return
        for name in hung:
            self._workers[name].signal(signal.SIGKILL)

    # -- small things

    def _child(
        self,
        name: str,
        command: Callable[[], list[str]],
        ended: Callable[[Child], None],
        *,
        pass_fds: tuple[int, ...] = (),
        log_name: str = "",
    ) -> Child:
        def on_exit(child: Child) -> None:
            self._happened.put(lambda: ended(child))

        log_file = self._home.logs / f"{log_name or name}.log"
        # What the command line said counts for the children too, wherever it came from.
        environment = {"SPINBOT_HOME": str(self._home.root)}
        return Child(name, command, log_file, on_exit, environment, pass_fds)

    def _in(self, seconds: float, action: Callable[[], None]) -> None:
        self._alarms.append((time.monotonic() + seconds, action))

    def _until(self, condition: Callable[[], bool], what: str, child: Child | None) -> None:
        deadline = time.monotonic() + UP_WITHIN
        while not condition():
            if self._terms:
                raise SpinbotError(f"stopped before {what} was up")
            if child is not None and not child.alive:
                raise SpinbotError(f"{what} {child.said()}", hint=f"{child.log_file} says why")
            if time.monotonic() > deadline:
                raise SpinbotError(f"{what} did not come up in {UP_WITHIN:g} s", hint=f"see {self._home.logs}")
            time.sleep(0.02)

    def _lock(self) -> int:
        handle = os.open(self._home.daemon_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise NotAllowed(
                f"a daemon is already running for {self._home.root}", hint="spinbot daemon status shows it"
            ) from None
        return handle

    def _forget_mended(self) -> None:
        mended = {c.name.rpartition("-")[0] for c in self._workers.values() if c.alive and c.age > QUICK}
        if mended & self._problems.keys():
            self._problems = {lane: text for lane, text in self._problems.items() if lane not in mended}
            self._note_problems()

    def _note_problems(self) -> None:
        """For `/health`, which another process answers."""
        try:
            write_atomic(self._home.run / "problems.json", json.dumps(list(self._problems.values())), mode=0o600)
        except OSError as error:
            log.error("problems cannot be written: %s", error)
