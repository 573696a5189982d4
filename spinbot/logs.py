"""How everything here logs: lines for people, or JSON for machines, with the id of the trace a line belongs to."""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
from collections.abc import Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]
TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""https://www.w3.org/TR/trace-context/, version 00."""

trace: ContextVar[str] = ContextVar("trace", default="")
"""The traceparent of what is done now; "" for what nobody asked for."""
asked: ContextVar[float | None] = ContextVar("asked", default=None)
"""Unix time at which the request came."""
job: ContextVar[str] = ContextVar("job", default="")


def new_traceparent() -> str:
    """The beginning of a trace: 16 and 8 random bytes, sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def checked_traceparent(text: str) -> str:
    """`text` when it is a traceparent, else a new one: a bad header is no reason to refuse a request."""
    return text if TRACEPARENT.fullmatch(text) else new_traceparent()


def trace_id(traceparent: str) -> str:
    """32 hex digits, or "" of nothing."""
    return traceparent[3:35]


def start(level: str, format: LogFormat, handlers: Sequence[logging.Handler] | None = None) -> None:
    """Log to `handlers`, by default stderr."""
    chosen = list(handlers) if handlers is not None else [logging.StreamHandler()]
    for handler in chosen:
        handler.setFormatter(formatter(format))
    logging.basicConfig(level=level.upper(), handlers=chosen, force=True)


def formatter(format: LogFormat) -> logging.Formatter:
    return JsonLines() if format == "json" else logging.Formatter(TEXT)


class JsonLines(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, pid, message; trace, job and exception if any."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "pid": os.getpid(),
            "message": record.getMessage(),
        }
        if trace.get():
            line["trace"] = trace_id(trace.get())
        if job.get():
            line["job"] = job.get()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
