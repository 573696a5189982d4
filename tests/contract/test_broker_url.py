"""Where the broker may be, and how it may be spoken to."""

from __future__ import annotations

import pytest

from spinbot.errors import BadInput
from spinbot.home import Home
from spinbot.settings import load_settings


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@broker.example:6379/0",
        "rediss://:secret@broker.example:6379/0?ssl_cert_reqs=none",
        "rediss://broker.example:6379/0",
        "http://broker.example",
    ],
    ids=["clear text", "not verified", "no password", "no broker"],
)
def test_a_broker_elsewhere_needs_tls_with_verification(home: Home, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    with pytest.raises(BadInput) as refused:
        load_settings()
    assert "secret" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize(
    "url",
    [
        "unix:///run/valkey.sock",
        "redis://localhost:6379/0",
        "redis://127.0.0.1:6379",
        "rediss://worker:secret@broker.example:6379/0",
    ],
)
def test_this_machine_and_tls_are_taken(home: Home, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    assert load_settings().broker_url() == url


def test_clear_text_in_a_network_of_ones_own_has_to_be_said(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://valkey:6379/0")
    monkeypatch.setenv("SPINBOT_INSECURE_REDIS", "1")
    assert load_settings().broker_url() == "redis://valkey:6379/0"
