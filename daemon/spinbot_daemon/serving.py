"""How uvicorn serves the gateway: which protocols, and the limits that strangers meet."""

from __future__ import annotations

import logging

import uvicorn
from fastapi import FastAPI

from spinbot_daemon.impatient import Impatient


def configuration(app: FastAPI) -> uvicorn.Config:
    """For a server that is then given its listening sockets. Logging is the caller's."""
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
        backlog=1024,
    )


def _without_traceback(record: logging.LogRecord) -> bool:
    """That a watcher sent broken UTF-8 is its fault and a line in the log, not a page of our stack for each."""
    if record.getMessage().startswith("Invalid UTF-8"):
        record.exc_info = None
    return True
