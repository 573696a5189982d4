"""What somebody with the token, or on the socket, may send to harm the daemon."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from spinbot.home import Home

SAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"
BOUNDARY = "b0undary"


@pytest.fixture
def process(home: Home, redis_url: str, eventually: Callable[..., Any]) -> Iterator[psutil.Process]:
    """A gateway that is a process of its own, so that its memory can be seen."""
    environment = {**os.environ, "REDIS_URL": redis_url, "SPINBOT_MAX_UPLOAD_MB": "200"}
    started = subprocess.Popen([sys.executable, "-m", "spinbot_daemon.gateway"], env=environment)
    eventually(home.socket.exists, "it listens", within=20)
    yield psutil.Process(started.pid)
    started.terminate()
    started.wait(15)


@pytest.fixture
def http(process: psutil.Process, home: Home) -> Iterator[httpx.Client]:
    with httpx.Client(
        transport=httpx.HTTPTransport(uds=str(home.socket)), base_url="http://localhost", timeout=60
    ) as http:
        yield http


def part(name: str, size: int) -> Iterator[bytes]:
    """One file in a multipart body, made up as it is sent."""
    yield (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="sample"; filename="{name}"\r\n'
        "Content-Type: audio/wav\r\n\r\n"
    ).encode()
    yield SAMPLE.read_bytes()[:44]
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        yield block
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def send(http: httpx.Client, content: Iterator[bytes]) -> httpx.Response:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return http.post("/api/train", content=content, headers=headers)


def left_behind(home: Home) -> list[str]:
    return [str(path) for path in home.root.rglob("*") if path.is_file() and path.stat().st_size > 1 << 20]


def test_300_mb_are_refused_at_the_limit_without_being_held_in_memory(http, process, home, eventually):
    http.get("/health")
    before = process.memory_info().rss
    with contextlib.suppress(httpx.WriteError):  # it may close while we are still sending: refused as well
        assert send(http, part("large.wav", 300 << 20)).status_code == 413
    assert (process.memory_info().rss - before) >> 20 < 40
    eventually(lambda: left_behind(home) == [], "nothing of it is left on the disk")
    assert http.get("/health").status_code == 200


def test_one_that_breaks_off_leaves_nothing(http, home, eventually):
    def broken() -> Iterator[bytes]:
        content = part("half.wav", 20 << 20)
        for _ in range(10):
            yield next(content)
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        send(http, broken())
    eventually(lambda: left_behind(home) == [], "nothing of it is left on the disk")
    assert http.get("/health").status_code == 200


@pytest.mark.parametrize(
    "name", ["../../evil.wav", "/etc/cron.d/evil.wav", "a" * 5000 + ".wav", "..", "x\u202evaw.exe"]
)
def test_the_clients_name_is_never_a_path(http, home, name):
    body = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="sample"; filename="{name}"\r\n\r\n'.encode()
        + SAMPLE.read_bytes()
        + f'\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name="name"\r\n\r\nada\r\n--{BOUNDARY}--\r\n'.encode()
    )
    answer = send(http, iter([body]))
    assert answer.status_code in (202, 400, 413, 422), answer.text
    stored = [
        path.relative_to(home.root)
        for path in home.root.rglob("*")
        if path.is_file() and b"RIFF" in path.read_bytes()[:4]
    ]
    assert all(path.parts[0] == "jobs" and "evil" not in path.name and len(path.name) < 20 for path in stored), stored
    if answer.status_code == 202:
        assert len(stored) == 1


def test_10_000_parts_are_refused(http):
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'.encode()
    assert send(http, iter([field * 10_000, f"--{BOUNDARY}--\r\n".encode()])).status_code in (400, 413, 422)
    assert http.get("/health").status_code == 200


def test_deep_json_is_refused(http):
    deep = "[" * 100_000 + "]" * 100_000
    answer = http.post("/api/generate", content=deep, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("path", ["/dev/zero", "/proc/self/mem", "/dev/stdin", "fifo"])
def test_what_is_no_file_is_not_read(http, tmp_path, path):
    if path == "fifo":
        os.mkfifo(tmp_path / "fifo")
        path = str(tmp_path / "fifo")
    answer = http.post("/api/train", json={"inputs": [path], "name": "x"})
    assert answer.status_code in (404, 422), answer.text
    assert path in answer.json()["error"]


def test_nothing_is_decoded_in_the_daemon(http, process):
    assert http.post("/api/train", json={"inputs": [str(SAMPLE)], "name": "ada"}).status_code == 202
    loaded = {Path(region.path).name for region in process.memory_maps()}
    assert not [name for name in loaded if name.startswith(("libsndfile", "libavcodec", "libtorch", "_imaging"))], (
        loaded
    )
    assert json.loads(http.get("/api/jobs").text)["jobs"]
