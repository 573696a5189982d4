"""How uvicorn serves the gateway: which protocols, the limits that strangers meet, and TLS on TCP."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket

import uvicorn
from fastapi import FastAPI

from spinbot.settings import Settings
from spinbot_daemon.impatient import Impatient
from spinbot_daemon.sockets import BACKLOG, tls_context


class Server(uvicorn.Server):
    """Runs on listening sockets it is given: unix ones in clear, TCP with TLS when there is a certificate."""

    def __init__(self, app: FastAPI, settings: Settings) -> None:
        super().__init__(_configuration(app))
        self._tls = tls_context(settings)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn takes one certificate for all its sockets; those that need it are opened here."""
        listeners = sockets or []
        secured = [each for each in listeners if self._tls is not None and each.family != socket.AF_UNIX]
        await super().startup([each for each in listeners if each not in secured])
        protocol = functools.partial(
            Impatient,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        loop = asyncio.get_running_loop()
        for listener in secured:
            self.servers.append(
                await loop.create_server(
                    protocol, sock=listener, ssl=self._tls, ssl_handshake_timeout=10, backlog=BACKLOG
                )
            )


def _configuration(app: FastAPI) -> uvicorn.Config:
    errors = logging.getLogger("uvicorn.error")
    if _without_traceback not in errors.filters:
        errors.addFilter(_without_traceback)
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        http=Impatient,  # on h11, the one with a limit on headers
        h11_max_incomplete_event_size=1 << 16,
        ws="websockets-sansio",  # the one uvicorn keeps; "websockets" stands on a deprecated interface
        ws_max_size=1 << 16,  # watchers have nothing to say
        ws_per_message_deflate=False,  # small messages to this same machine
        lifespan="on",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
        backlog=BACKLOG,
    )


def _without_traceback(record: logging.LogRecord) -> bool:
    """That a watcher sent broken UTF-8 is its fault and a line in the log, not a page of our stack for each."""
    if record.getMessage().startswith("Invalid UTF-8"):
        record.exc_info = None
    return True
