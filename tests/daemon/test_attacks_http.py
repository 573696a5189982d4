"""Requests that are no accident: what could be read in two ways, what is far too long, what never ends."""

from __future__ import annotations

import contextlib
import json
import socket
from urllib.parse import urlsplit

import pytest

from spinbot_daemon import access

BODY = b'{"prompt": "hi"}'


def head(*lines: str, request: str = "POST /api/generate HTTP/1.1") -> bytes:
    return "\r\n".join([request, *lines, "", ""]).encode()


def say(gateway, *parts: bytes) -> bytes:
    """Everything that is answered until the daemon closes the connection."""
    parts_of_url = urlsplit(gateway.url)
    with socket.create_connection((parts_of_url.hostname, parts_of_url.port), timeout=20) as client:
        answer = b""
        with contextlib.suppress(ConnectionError):  # closed while we still send, or with something of ours unread
            for part in parts:
                client.sendall(part)
            while block := client.recv(1 << 16):
                answer += block
        return answer


@pytest.fixture
def lines(gateway) -> list[str]:
    return ["Host: localhost", f"Authorization: Bearer {gateway.token}", "Connection: close"]


AMBIGUOUS = {
    "two lengths": ["Content-Length: 16", "Content-Length: 5"],
    "a length and chunks": ["Content-Length: 16", "Transfer-Encoding: chunked"],
    "chunks twice": ["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "chunks of another kind": ["Transfer-Encoding: xchunked"],
    "a negative length": ["Content-Length: -1"],
    "a length in words": ["Content-Length: 1e1"],
    "a space before the colon": ["Content-Length : 16"],
    "a second host": ["Host: evil.example", "Content-Length: 16"],
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
def test_what_could_be_read_in_two_ways_is_not_read(gateway, lines, store, kind):
    answer = say(gateway, head(*lines, *AMBIGUOUS[kind]) + BODY)
    assert answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert store.newest() == []


def test_the_body_of_one_request_is_never_the_next(gateway, lines, store):
    hidden = head("Host: localhost", request="GET /api/queues HTTP/1.1")
    keep = [line for line in lines if line != "Connection: close"]
    request = head(*keep, f"Content-Length: {len(BODY)}") + BODY
    answer = say(gateway, request + head(*lines, "Content-Length: 0", request="GET /health HTTP/1.1"))
    assert answer.count(b"HTTP/1.1 ") == 2, "pipelining is served in order"
    answer = say(gateway, head(*lines, "Content-Length: 16", "Transfer-Encoding: chunked") + b"0\r\n\r\n" + hidden)
    assert b"queues" not in answer
    assert len(store.newest()) == 1


@pytest.mark.parametrize("target", ["/" + "a" * 200_000, "/api/jobs?state=" + "a" * 200_000])
def test_an_address_of_200_kb_is_refused(gateway, lines, target):
    answer = say(gateway, head(*lines, request=f"GET {target} HTTP/1.1"))
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert gateway.http.get("/health").status_code == 200


@pytest.mark.parametrize(
    "body", [b"zz\r\n", b"ffffffffffffffff\r\n" + BODY, b"-1\r\n", b"5;" + b"x" * 100_000 + b"\r\nhello\r\n0\r\n\r\n"]
)
def test_chunks_that_lie_are_refused(gateway, lines, store, monkeypatch, body):
    monkeypatch.setattr(access, "BODY_PAUSE", 0.3)
    answer = say(gateway, head(*lines, "Transfer-Encoding: chunked") + body)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:200]
    assert b"Traceback" not in answer
    assert store.newest() == []


@pytest.mark.parametrize("length", ["Content-Length: 16", "Transfer-Encoding: chunked"])
def test_a_body_that_stands_still_is_given_up(gateway, lines, store, monkeypatch, length):
    monkeypatch.setattr(access, "BODY_PAUSE", 0.3)
    answer = say(gateway, head(*lines, length) + b"5\r\n")
    assert answer.startswith(b"HTTP/1.1 408"), answer[:200]
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"].startswith("nothing came for")
    assert store.newest() == []


def test_an_upload_may_take_longer_than_a_pause_as_long_as_it_comes(gateway, lines, store, monkeypatch):
    monkeypatch.setattr(access, "BODY_PAUSE", 5)
    chunks = [b"1\r\n" + BODY[index : index + 1] + b"\r\n" for index in range(len(BODY))]
    answer = say(gateway, head(*lines, "Transfer-Encoding: chunked"), *chunks, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 202"), answer[:300]


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n" * 50_000,
        b"\x00" * 70_000,
    ],
    ids=["TLS", "HTTP/2", "empty lines", "zeros"],
)
def test_what_is_no_http_is_turned_away(gateway, start):
    answer = say(gateway, start)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert gateway.http.get("/health").status_code == 200
