"""When the broker is away, the gateway says so in the one shape, and goes on when it is back."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis

from spinbot.home import Home
from spinbot_daemon.broker import Broker, answers


@pytest.fixture
def own_broker(home: Home, eventually: Callable[..., Any]) -> Iterator[subprocess.Popen[bytes]]:
    broker = Broker(home)
    process = subprocess.Popen(broker.prepare(), stdout=subprocess.DEVNULL)
    with Redis.from_url(f"unix://{broker.socket}") as client:
        eventually(lambda: answers(client), "valkey answers")
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def redis_url(own_broker: subprocess.Popen[bytes], home: Home) -> str:
    return f"unix://{home.broker_socket}"


@pytest.fixture
def redis() -> None:
    """The gateway's broker is its own here; there is nothing to flush."""


def test_it_is_said_while_it_lasts_and_over_when_it_is_back(gateway, own_broker, home, eventually):
    assert gateway.http.get("/api/jobs").status_code == 200
    own_broker.kill()
    own_broker.wait()
    answer = gateway.http.get("/api/jobs")
    assert (answer.status_code, answer.json()["exitCode"]) == (503, 5)
    assert "broker" in answer.json()["error"]
    assert gateway.http.get("/health").json()["broker"] == "down"
    back = subprocess.Popen(Broker(home).prepare(), stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: gateway.http.get("/api/jobs").status_code == 200, "it answers again")
        assert gateway.http.post("/api/generate", json={"prompt": "hi"}).status_code == 202
    finally:
        back.kill()
        back.wait()


def test_what_the_broker_refuses_is_our_mistake_not_its_absence(gateway, home):
    with Redis.from_url(f"unix://{home.broker_socket}") as client:
        client.set("spinbot:jobs", "not a sorted set")
    answer = gateway.http.get("/api/jobs")
    assert (answer.status_code, answer.json()["exitCode"]) == (500, 1)
