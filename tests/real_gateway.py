"""A real gateway: uvicorn in a thread, on a unix socket and on TCP, over the tests' own valkey."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn
from redis import Redis
from websockets.sync.client import ClientConnection, connect, unix_connect

from spinbot.home import Home
from spinbot.settings import load_settings
from spinbot_daemon.app import create_app
from spinbot_daemon.serving import Server
from spinbot_daemon.sockets import listen_tcp, listen_unix, url_of
from spinbot_daemon.token import ensure_token


@dataclass
class Gateway:
    """`http` speaks over the unix socket; `url` and `token` are for TCP."""

    http: httpx.Client
    url: str
    token: str
    socket: str
    server: uvicorn.Server

    def cut(self) -> None:
        """Break every connection, as a gateway that is killed does."""
        for connection in list(self.server.server_state.connections):
            connection.loop.call_soon_threadsafe(connection.transport.abort)  # type: ignore[union-attr]

    def watch(self, query: str = "") -> ClientConnection:
        return unix_connect(self.socket, f"ws://localhost/ws{query}")

    def watch_tcp(self, query: str = "", **options: Any) -> ClientConnection:
        return connect(self.url.replace("http", "ws") + f"/ws{query}", **options)


def events_until_closed(watcher: ClientConnection) -> list[dict[str, Any]]:
    return [json.loads(text) for text in watcher]


@pytest.fixture(scope="session")
def until_closed() -> Callable[[ClientConnection], list[dict[str, Any]]]:
    """All events, until the gateway closes."""
    return events_until_closed


@pytest.fixture
def watch_buffer() -> int:
    """Events kept for a slow watcher; a test may choose another number."""
    return 1000


@pytest.fixture
def gateway(
    home: Home, redis: Redis, redis_url: str, watch_buffer: int, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Gateway]:
    monkeypatch.setenv("REDIS_URL", redis_url)
    settings, token = load_settings(), ensure_token(home)
    unix, tcp = listen_unix(home.socket), listen_tcp(settings)
    app = create_app(settings, token=token, buffer=watch_buffer)
    server = Server(app, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [unix, tcp]})
    thread.start()
    transport = httpx.HTTPTransport(uds=str(home.socket))
    with httpx.Client(transport=transport, base_url="http://localhost", timeout=20) as http:
        yield Gateway(http, url_of(tcp, settings), token, str(home.socket), server)
    server.should_exit = True
    thread.join(10)
    assert not thread.is_alive()
