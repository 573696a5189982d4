"""The events of jobs from the beginning to their end, through every break of the connection."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import connect, unix_connect

from spinbot.errors import DaemonUnreachable, JobNotFound, NotFound, TimedOut, Unauthorized
from spinbot_cli.client import Client, untrusted

OVER = frozenset({"completed", "failed", "cancelled"})
GIVE_UP = 60.0
"""Seconds without a connection after which the daemon is taken for gone."""
Event = dict[str, Any]


def follow(
    client: Client,
    job_ids: Sequence[str],
    *,
    after: str = "0",
    timeout: float | None = None,
    on_break: Callable[[], None] = lambda: None,
) -> Iterator[Event]:
    """Every event of `job_ids` after the id `after`, once and in order; ends when all jobs are over.

    Args:
        job_ids: none means all jobs, without end.
        timeout: seconds until TimedOut.
        on_break: called when the connection broke; it is made again and goes on after the last id.

    Raises:
        JobNotFound, Unauthorized, DaemonUnreachable, TimedOut.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    pending = set(job_ids)
    broken_since: float | None = None
    while pending or not job_ids:
        try:
            with _connect(client, sorted(pending), after) as connection:
                broken_since = None
                while True:
                    event: Event = json.loads(connection.recv(timeout=_left(deadline)))
                    if event["type"] not in ("snapshot", "gap"):
                        after = event["id"]
                        if event["type"] == "state" and event["state"] in OVER:
                            pending.discard(event["jobId"])
                    yield event
        except TimeoutError:
            if deadline is not None and time.monotonic() >= deadline:
                raise TimedOut(f"not over within {timeout:g} s", hint="the job goes on; watch it again") from None
        except InvalidStatus as error:
            if error.response.status_code in (401, 403):
                raise Unauthorized("the daemon wants its token", hint="set SPINBOT_TOKEN") from error
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else 1006
            if code == 4404:
                raise JobNotFound(", ".join(job_ids)) from closed
            if code == 4401:
                raise Unauthorized("the daemon wants its token", hint="set SPINBOT_TOKEN") from closed
            if code == 4400:
                raise NotFound(closed.rcvd.reason if closed.rcvd else "a bad request") from closed
            if code == 1000 and not pending:
                return
        except ssl.SSLCertVerificationError as error:
            raise untrusted(client.where, error.verify_message) from error
        except (OSError, InvalidHandshake):
            pass  # it is tried again below
        if not pending and job_ids:
            return
        now = time.monotonic()
        if broken_since is None:
            broken_since = now
            on_break()
        if now - broken_since > GIVE_UP:
            raise DaemonUnreachable(f"no daemon answers at {client.where}", hint="spinbot daemon start")
        if deadline is not None and now >= deadline:
            raise TimedOut(f"not over within {timeout:g} s", hint="the job goes on; watch it again")
        time.sleep(0.2)


def _connect(client: Client, job_ids: Sequence[str], after: str) -> Any:
    uri, path = client.websocket(jobId=job_ids, after=after)
    options: dict[str, Any] = {"additional_headers": client.headers(), "max_size": 1 << 22, "open_timeout": 10}
    return unix_connect(path, uri, **options) if path else connect(uri, proxy=None, **options)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.001, deadline - time.monotonic())
