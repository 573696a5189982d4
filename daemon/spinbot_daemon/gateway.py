"""`python -m spinbot_daemon.gateway`: HTTP and WebSocket on the unix socket and on loopback TCP, in one process."""

from __future__ import annotations

import os

# A handshake that its HTTP parser takes and websockets does not is never answered: the limits are to be the same, and
# a thousand job ids fit. Read when websockets is imported.
os.environ.setdefault("WEBSOCKETS_MAX_LINE_LENGTH", str(1 << 16))
os.environ.setdefault("WEBSOCKETS_MAX_NUM_HEADERS", str(1 << 14))

import argparse
import logging
import shutil
import socket
import tempfile

from spinbot import logs
from spinbot.home import Home
from spinbot.settings import load_settings
from spinbot_daemon.app import create_app
from spinbot_daemon.broker import private_folder
from spinbot_daemon.serving import Server
from spinbot_daemon.sockets import listen_tcp, listen_unix, url_of
from spinbot_daemon.submissions import INCOMING
from spinbot_daemon.token import ensure_token

log = logging.getLogger("spinbot_daemon.gateway")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m spinbot_daemon.gateway")
    parser.add_argument("--fds", nargs="*", type=int, default=[], help="listening sockets from the supervisor")
    arguments = parser.parse_args()
    os.umask(0o077)
    settings = load_settings()
    logs.start(settings.log_level, settings.log_format)
    for chatty in ("uvicorn", "websockets"):  # below this level they write the ?token= of a WebSocket
        logging.getLogger(chatty).setLevel(logging.WARNING)
    listeners = [socket.socket(fileno=fd) for fd in arguments.fds]
    listeners = listeners or [listen_unix(settings.folders.socket), listen_tcp(settings)]
    for listener in listeners:
        if listener.family != socket.AF_UNIX:
            log.info("listening on %s", url_of(listener, settings))
    _clean(settings.folders)
    app = create_app(settings, token=ensure_token(settings.folders))
    Server(app, settings).run(sockets=listeners)


def _clean(home: Home) -> None:
    """Uploads are spooled under the home, whose disk has the room; what a killed gateway left half done goes."""
    spool = home.root / "tmp"
    shutil.rmtree(spool, ignore_errors=True)
    tempfile.tempdir = str(private_folder(spool))
    for half in home.jobs.glob(f"{INCOMING}*"):
        shutil.rmtree(half, ignore_errors=True)


if __name__ == "__main__":
    main()
