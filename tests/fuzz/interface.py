"""What a hostile or broken client may send: HTTP by the OpenAPI document and against it, and nonsense to `/ws`."""

from __future__ import annotations

import base64
import os
import random
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


def schemathesis(url: str, token: str, examples: int, seed: int) -> tuple[int, int, str]:
    """Numbers of cases and of those that passed, and what was printed. No answer may be a 5xx.

    The exit code is not looked at: schemathesis itself stumbles over some of its own mutations of multipart bodies
    ("Unsupported type: 'Binary'", 4.32), says so and goes on.
    """
    command = [
        str(Path(sys.executable).with_name("st")),
        *("run", str(DOCUMENT), "--url", url, "--header", f"Authorization: Bearer {token}"),
        *("--checks", "not_a_server_error", "--phases", "coverage,fuzzing", "--mode", "all"),
        *("--max-examples", str(examples), "--seed", str(seed), "--generation-database", "none"),
        *("--continue-on-failure", "--request-timeout", "130", "--no-color"),
        *("--suppress-health-check", "all"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    cases = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    made, passed = (int(cases[1]), int(cases[2])) if cases else (0, 0)
    return made, passed, done.stdout + done.stderr


def nonsense(path: Path, count: int, seed: int) -> int:
    """`count` connections to /ws with random queries and random frames, cut off anywhere. Returns how many opened."""
    chance = random.Random(seed)
    opened = 0
    for _ in range(count):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(path))
            try:
                client.sendall(_handshake(chance))
                answer = client.recv(4096)
                opened += answer.startswith(b"HTTP/1.1 101")
                for _ in range(chance.randint(0, 6)):
                    client.sendall(_frame(chance))
                if chance.random() < 0.5:
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(1 << 16):
                        pass
            except (ConnectionError, TimeoutError):
                continue
    return opened


def _handshake(chance: random.Random) -> bytes:
    queries = [
        "", "?jobId=gen-zzzzzz", "?jobId=../../etc/passwd", "?jobId=%00", "?after=-1", "?after=99999999999999999999",
        "?after=1-1", "?after=0&after=1", "?token=x", "?jobId=" + "a" * 3000, "?" + "jobId=gen-aaaaaa&" * 1200,
        "?%ff=%fe", "?jobId=gen-zzzzzz&jobId=gen-zzzzzz",
    ]  # fmt: skip
    key = base64.b64encode(os.urandom(16)) if chance.random() < 0.9 else chance.randbytes(8).hex().encode()
    version = chance.choice([b"13", b"13", b"13", b"0", b"x"])
    more = chance.choice([b"", b"", b"X: y\r\n" * 500, b"X: " + b"y" * 20_000 + b"\r\n", b"X:\r\n folded\r\n"])
    return (
        b"GET /ws" + chance.choice(queries).encode() + b" HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Key: "
        + key
        + b"\r\nSec-WebSocket-Version: "
        + version
        + b"\r\n"
        + more
        + b"\r\n"
    )


def _frame(chance: random.Random) -> bytes:
    """A frame of any opcode, any flags, masked or not, whose length may lie; or no frame at all."""
    if chance.random() < 0.2:
        return chance.randbytes(chance.randint(1, 300))
    payload = chance.randbytes(chance.choice([0, 1, 125, 126, 1000, 70_000]))
    first = chance.randrange(256) if chance.random() < 0.5 else 0x80 | chance.choice([0, 1, 2, 8, 9, 10])
    said = len(payload) if chance.random() < 0.7 else chance.choice([0, 1 << 16, 1 << 40, (1 << 63) - 1])
    masked = 0x80 if chance.random() < 0.8 else 0
    if said < 126:
        head = struct.pack(">BB", first, masked | said)
    elif said < 1 << 16:
        head = struct.pack(">BBH", first, masked | 126, said)
    else:
        head = struct.pack(">BBQ", first, masked | 127, said)
    return head + (chance.randbytes(4) if masked else b"") + payload
