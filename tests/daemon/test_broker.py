"""The embedded valkey: a socket in a private folder, and nothing on it that could destroy what it keeps."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from spinbot.errors import SpinbotError
from spinbot.home import Home
from spinbot_daemon.broker import DENIED, Broker, answers, private_folder


@pytest.fixture
def broker(home: Home) -> Broker:
    return Broker(home)


@pytest.fixture
def start(
    broker: Broker, eventually: Callable[..., Any]
) -> Iterator[Callable[[], tuple[Redis, subprocess.Popen[bytes]]]]:
    started: list[tuple[Redis, subprocess.Popen[bytes]]] = []

    def start() -> tuple[Redis, subprocess.Popen[bytes]]:
        process = subprocess.Popen(broker.prepare(), stdout=subprocess.DEVNULL)
        client = Redis.from_url(f"unix://{broker.socket}")
        started.append((client, process))
        eventually(lambda: answers(client), "valkey answers")
        return client, process

    yield start
    for client, process in started:
        client.close()
        process.kill()
        process.wait()


def test_it_listens_on_its_socket_only(start, broker):
    _, process = start()
    assert [connection.laddr for connection in psutil.Process(process.pid).net_connections("inet")] == []
    assert broker.socket.stat().st_mode & 0o077 == 0
    assert broker.folder.stat().st_mode & 0o777 == 0o700


DESTROYING = ["FLUSHALL", "CONFIG GET *", "SHUTDOWN", "MODULE LIST", "KEYS *", "BGSAVE", "BGREWRITEAOF"]
DESTROYING += ["FUNCTION LIST", "CLIENT KILL TYPE normal", "CLIENT PAUSE 1000", "SCRIPT FLUSH", "SLOWLOG GET"]


@pytest.mark.parametrize("command", DESTROYING)
def test_what_could_destroy_or_stall_it_is_denied(start, command):
    client, _ = start()
    words = command.lower().split()
    assert words[0] in DENIED or "|".join(words[:2]) in DENIED
    with pytest.raises(NoPermissionError):
        client.execute_command(*command.split())


def test_what_was_made_durable_is_there_after_kill_9(start, broker):
    client, process = start()
    client.set("answered", "yes")
    broker.make_durable(client)
    process.send_signal(signal.SIGKILL)
    process.wait()
    client, _ = start()
    assert client.get("answered") == b"yes"


def test_a_log_cut_off_in_the_middle_of_a_write_is_read_up_to_there(start, broker):
    client, process = start()
    client.set("whole", "yes")
    process.kill()
    process.wait()
    (log,) = (broker.folder / "appendonlydir").glob("*.incr.aof")
    log.write_bytes(log.read_bytes() + b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$10\r\nhal")
    client, _ = start()
    assert (client.get("whole"), client.get("x")) == (b"yes", None)


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    """In /tmp somebody else may have been first."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "theirs")
    with pytest.raises(SpinbotError, match="not a folder"):
        private_folder(tmp_path / "link")


def test_a_home_with_a_long_path_has_its_sockets_elsewhere(tmp_path, monkeypatch, eventually):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "r"))
    broker = Broker(Home(tmp_path / ("long" * 30)))
    process = subprocess.Popen(broker.prepare(), stdout=subprocess.DEVNULL)
    try:
        with Redis.from_url(f"unix://{broker.socket}") as client:
            eventually(lambda: answers(client), "valkey answers")
        assert broker.socket.parent.stat().st_mode & 0o777 == 0o700
    finally:
        process.kill()
        process.wait()
