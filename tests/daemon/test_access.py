"""TCP asks for the token, the unix socket does not, and web pages of elsewhere get nothing."""

from __future__ import annotations

import socket

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from spinbot_daemon.access import TRIES, WINDOW, FailedTries
from spinbot_daemon.impatient import Impatient


@pytest.fixture
def tcp(gateway):
    with httpx.Client(base_url=gateway.url, timeout=10) as client:
        yield client


def bearer(gateway) -> dict[str, str]:
    return {"Authorization": f"Bearer {gateway.token}"}


def test_the_unix_socket_asks_for_no_token(gateway):
    assert gateway.http.get("/api/jobs").json() == {"jobs": []}


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic eDp5"}])
def test_tcp_without_the_token_is_refused(tcp, header):
    answer = tcp.get("/api/jobs", headers=header)
    assert answer.status_code == 401
    assert answer.json()["exitCode"] == 4
    assert "token" in answer.json()["hint"]


def test_tcp_with_the_token_is_served(gateway, tcp):
    assert tcp.get("/api/jobs", headers=bearer(gateway)).status_code == 200


def test_the_token_in_the_query_is_for_websockets_only(gateway, tcp):
    assert tcp.get(f"/api/jobs?token={gateway.token}").status_code == 401


@pytest.mark.parametrize("path", ["/health", "/docs", "/openapi.json"])
def test_what_is_nobodys_is_open(tcp, path):
    assert tcp.get(path).status_code == 200


def test_metrics_asks_for_the_token(gateway, tcp):
    assert tcp.get("/metrics").status_code == 401
    assert "spinbot_jobs_total" in tcp.get("/metrics", headers=bearer(gateway)).text


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "localhost@evil.example", ""])
def test_a_host_that_is_not_ours_is_refused(gateway, tcp, host):
    assert tcp.get("/health", headers={"Host": host, **bearer(gateway)}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:80", "[::1]:80"])
def test_names_and_addresses_of_this_machine_are_served(tcp, host):
    assert tcp.get("/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "file://"])
def test_a_web_page_of_elsewhere_is_refused_even_with_the_token(gateway, tcp, origin):
    assert tcp.get("/api/jobs", headers={"Origin": origin, **bearer(gateway)}).status_code == 403
    with pytest.raises(InvalidStatus), gateway.watch_tcp(f"?token={gateway.token}", origin=origin):
        pass


def test_a_websocket_without_the_token_closes_with_4401(gateway):
    for query in ("", "?token=wrong"):
        with gateway.watch_tcp(query) as watcher, pytest.raises(ConnectionClosedError) as closed:
            watcher.recv(timeout=5)
        assert closed.value.rcvd.code == 4401


@pytest.mark.parametrize("how", ["query", "header"])
def test_a_websocket_with_the_token_is_open(gateway, how):
    query = f"?token={gateway.token}" if how == "query" else ""
    headers = bearer(gateway) if how == "header" else {}
    with gateway.watch_tcp(query, additional_headers=headers) as watcher:
        watcher.ping().wait(5)


def test_too_many_wrong_tokens_are_told_to_wait_and_lock_nobody_else_out(gateway, tcp):
    for _ in range(TRIES):
        assert tcp.get("/api/jobs").status_code == 401
    assert tcp.get("/api/jobs", headers={"Authorization": "Bearer wrong"}).status_code == 429
    assert tcp.get("/api/jobs", headers=bearer(gateway)).status_code == 200
    assert gateway.http.get("/api/jobs").status_code == 200


def test_tries_are_forgotten_after_a_while():
    now = 0.0
    failed = FailedTries(clock=lambda: now)
    for _ in range(TRIES):
        failed.add("10.0.0.1")
    assert failed.too_many("10.0.0.1")
    assert not failed.too_many("10.0.0.2")
    now = WINDOW + 1
    assert not failed.too_many("10.0.0.1")


def test_the_token_file_is_the_users_alone(gateway, home):
    assert home.token_file.stat().st_mode & 0o777 == 0o600
    assert home.token_file.read_text().strip() == gateway.token
    assert home.run.stat().st_mode & 0o777 == 0o700


def test_too_large_a_body_is_refused_before_it_is_read(gateway):
    answer = gateway.http.post("/api/generate", content=b"x" * ((1 << 20) + 1))
    assert answer.status_code == 413
    assert answer.json()["exitCode"] == 2


def test_a_body_that_does_not_say_its_size_is_stopped_while_streaming(gateway):
    answer = gateway.http.post("/api/generate", content=(b"x" * 65536 for _ in range(20)))
    assert answer.status_code == 413


def test_huge_headers_are_refused(gateway):
    assert gateway.http.get("/health", headers={"X-Big": "x" * 40_000}).status_code == 431


@pytest.mark.parametrize("said", [b"", b"GET /health HT", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "])
def test_one_that_never_finishes_its_request_is_closed(gateway, monkeypatch, said):
    monkeypatch.setattr(Impatient, "within", 0.2)
    with socket.socket(socket.AF_UNIX) as client, gateway.watch() as watcher:
        client.settimeout(10)
        client.connect(gateway.socket)
        client.sendall(said)
        assert client.recv(1024) == b""
        assert watcher.ping().wait(5), "a WebSocket was closed with it"
    assert gateway.http.get("/health").status_code == 200
