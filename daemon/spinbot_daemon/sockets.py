"""The two addresses the gateway listens on. Bound once by the supervisor, so that a restarted gateway keeps them."""

from __future__ import annotations

import ipaddress
import socket
import stat
from pathlib import Path

from spinbot.errors import BadInput
from spinbot.settings import Settings
from spinbot_daemon.broker import private_folder

BACKLOG = 1024
"""Connections that wait while the gateway is started again."""


def listen_unix(path: Path) -> socket.socket:
    """A listening socket at `path` in a folder of this user alone. A file left by a killed daemon is removed."""
    private_folder(path.parent)
    if path.exists() and stat.S_ISSOCK(path.lstat().st_mode):
        path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(path))
    path.chmod(0o600)
    listener.listen(BACKLOG)
    return listener


def listen_tcp(settings: Settings) -> socket.socket:
    """Raises BadInput when the address is not to be had, or would send the token in clear over a network."""
    if not (settings.insecure_http or is_loopback(settings.host)):
        raise BadInput(
            f"SPINBOT_HOST={settings.host} is beyond this machine, where anybody on the way could read the token",
            hint="reach the daemon with ssh -L or behind a proxy with TLS; or set SPINBOT_INSECURE_HTTP=1",
        )
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise BadInput(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}",
            hint="set SPINBOT_PORT to another port, or to 0 for any that is free",
        ) from error
    listener.listen(BACKLOG)
    return listener


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
