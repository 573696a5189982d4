"""The two addresses the gateway listens on. Bound once by the supervisor, so that a restarted gateway keeps them."""

from __future__ import annotations

import ipaddress
import socket
import ssl
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
    if tls_context(settings) is None and not (settings.insecure_http or is_loopback(settings.host)):
        raise BadInput(
            f"SPINBOT_HOST={settings.host} is beyond this machine, where anybody on the way could read the token",
            hint="set SPINBOT_TLS_CERT and SPINBOT_TLS_KEY, or use ssh -L; SPINBOT_INSECURE_HTTP=1 goes without",
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


def tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What the TCP listener speaks with; None is clear text. Raises BadInput naming the file that cannot be used."""
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in (settings.tls_cert, settings.tls_key):
        if not path.is_file():
            raise BadInput(f"{path}: no such file", hint="SPINBOT_TLS_CERT and SPINBOT_TLS_KEY are paths of PEM files")
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=_no_password)
    except OSError as error:  # ssl's errors are of this class too
        reason = getattr(error, "reason", None) or error.strerror
        raise BadInput(
            f"{settings.tls_cert} and {settings.tls_key} are no certificate and its key: {reason}",
            hint="both are PEM; the key belongs to the certificate and has no password",
        ) from error
    return context


def _no_password() -> str:
    """Without this OpenSSL asks on the terminal."""
    return ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_of(listener: socket.socket, settings: Settings) -> str:
    host, port = listener.getsockname()[:2]
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
