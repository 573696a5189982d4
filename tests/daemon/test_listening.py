"""Nothing listens beyond this machine unless it is told so outright."""

import pytest

from spinbot.errors import BadInput
from spinbot.home import Home
from spinbot.settings import load_settings
from spinbot_daemon.sockets import listen_tcp


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "studio.example", ""])
def test_an_address_beyond_loopback_is_refused_with_the_remedy(
    home: Home, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setenv("SPINBOT_HOST", host)
    with pytest.raises(BadInput, match="could read the token") as caught:
        listen_tcp(load_settings())
    assert "SPINBOT_INSECURE_HTTP" in caught.value.hint


@pytest.mark.parametrize(("host", "insecure"), [("127.0.0.1", ""), ("localhost", ""), ("0.0.0.0", "1")])
def test_loopback_and_what_was_asked_for_outright_are_bound(
    home: Home, monkeypatch: pytest.MonkeyPatch, host: str, insecure: str
) -> None:
    monkeypatch.setenv("SPINBOT_HOST", host)
    if insecure:
        monkeypatch.setenv("SPINBOT_INSECURE_HTTP", insecure)
    listen_tcp(load_settings()).close()
