"""Who may ask: the token over TCP, Host and Origin against web pages, and how much may be sent.

Plain ASGI, in front of everything: what is refused here has cost no parsing.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from spinbot.errors import TooLarge, TooSlow
from spinbot.settings import Settings
from spinbot_daemon.answers import problem

OPEN_PATHS = frozenset({"/health", "/docs", "/openapi.json"})
"""Nothing of the user's is in them."""
TRIES, WINDOW = 20, 10.0
"""So many wrong tokens in so many seconds from one address, and nothing more is looked at until they have passed."""
BODY_PAUSE = 30.0
"""Seconds that a body may stand still."""
JSON_LIMIT = 1 << 20
HEADERS_LIMIT = 1 << 15
NO_TOKEN = "no token, or a wrong one"
TOKEN_HINT = 'send "Authorization: Bearer $(spinbot token)"; a WebSocket may take ?token='

HOST_HINT = "use localhost or an address; SPINBOT_HOSTS allows other names"

log = logging.getLogger(__name__)


class FailedTries:
    """Wrong tokens, counted per address over a sliding window; at most 1,000 addresses are remembered."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, address: str) -> None:
        self._tries.setdefault(address, deque(maxlen=TRIES)).append(self._clock())
        self._tries.move_to_end(address)
        if len(self._tries) > 1000:
            self._tries.popitem(last=False)

    def too_many(self, address: str) -> bool:
        tries = self._tries.get(address)
        return tries is not None and len(tries) == TRIES and self._clock() - tries[0] < WINDOW


class Access:
    """The unix socket is in a folder of this user alone and asks for nothing more; TCP asks for the token."""

    def __init__(self, app: ASGIApp, *, settings: Settings, token: str) -> None:
        self._app = app
        self._token = token.encode()
        self._open = OPEN_PATHS | ({"/metrics"} if settings.metrics.public else set())
        self._upload_limit = settings.max_upload_mb << 20
        self._hosts = {
            "localhost",
            settings.host.lower(),
            socket.gethostname().lower(),
            *map(str.lower, settings.hosts),
        }
        self._failed = FailedTries()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if sum(len(name) + len(value) for name, value in headers.raw) > HEADERS_LIMIT:
            await _refuse(scope, receive, send, 431, "the headers are too large", f"at most {HEADERS_LIMIT >> 10} KiB")
            return
        if "content-length" in headers and "transfer-encoding" in headers:
            # RFC 9112, 6.3: what a proxy and we could read in two ways is an attack
            await _refuse(scope, receive, send, 400, "both a length and chunks", "send one of them", close=True)
            return
        if not _is_unix(scope):
            if not (self._known(headers.get("host", "")) and self._same_site(headers)):
                log.warning("refused Host %r, Origin %r", headers.get("host"), headers.get("origin"))
                await _refuse(scope, receive, send, 403, "this Host or Origin is not served here", HOST_HINT)
                return
            client = scope.get("client")
            address = str(client[0]) if client else "unknown"
            # The right token first: nobody's wrong tries from the same address lock its owner out.
            if scope["path"] not in self._open and not self._has_token(scope, headers):
                if self._failed.too_many(address):
                    await _refuse(scope, receive, send, 429, "too many wrong tokens", f"wait {WINDOW:g} s")
                    return
                self._failed.add(address)
                log.warning("%s asked for %s without the token", address, scope["path"])
                await _refuse(scope, receive, send, 401, NO_TOKEN, TOKEN_HINT)
                return
        if scope["type"] == "http":
            receive = self._limited(headers, receive)
        await self._app(scope, receive, send)

    def _has_token(self, scope: Scope, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            given = ""
        if not given and scope["type"] == "websocket":
            given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        return hmac.compare_digest(given.strip().encode(), self._token)

    def _known(self, host: str) -> bool:
        """A name that an attacker can point at this machine (DNS rebinding) is not served; an address cannot be."""
        name = (urlsplit(f"//{host}").hostname or "") if _parses(host) else ""
        return name in self._hosts or _is_address(name)

    def _same_site(self, headers: Headers) -> bool:
        """A web page says where it comes from; only pages of this machine may ask."""
        origin = headers.get("origin")
        if origin is None:
            return True
        return origin.startswith(("http://", "https://")) and self._known(origin.partition("://")[2])

    def _limited(self, headers: Headers, receive: Receive) -> Receive:
        upload = headers.get("content-type", "").lower().startswith("multipart/form-data")
        limit = self._upload_limit if upload else JSON_LIMIT
        announced = headers.get("content-length", "")
        taken, complete = 0, False

        async def limited() -> Message:
            nonlocal taken, complete
            if announced.isdigit() and int(announced[:20]) > limit:
                raise _too_large(limit)
            try:
                async with asyncio.timeout(None if complete else BODY_PAUSE):
                    message = await receive()
            except TimeoutError:
                raise TooSlow(f"nothing came for {BODY_PAUSE:g} s", hint="send it again") from None
            complete = not message.get("more_body", False)
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
            return message

        return limited


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request is larger than {limit >> 20} MiB", hint="SPINBOT_MAX_UPLOAD_MB sets the limit")


def _is_unix(scope: Scope) -> bool:
    server = scope.get("server")
    return server is not None and server[1] is None


def _parses(host: str) -> bool:
    try:
        urlsplit(f"//{host}").port  # noqa: B018 (it is the reading that raises)
    except ValueError:
        return False
    return "@" not in host and "/" not in host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _refuse(
    scope: Scope, receive: Receive, send: Send, status: int, message: str, hint: str, *, close: bool = False
) -> None:
    if scope["type"] == "http":
        headers = {"Connection": "close"} if close else None
        await problem(message, hint=hint, exit_code=4, status=status, headers=headers)(scope, receive, send)
        return
    await receive()  # the handshake
    if status in (400, 403, 431):
        await send({"type": "websocket.close"})  # before it is accepted: the client sees a plain 403
        return
    await send({"type": "websocket.accept"})  # a close code can only be said on an open connection
    await send({"type": "websocket.close", "code": 4401 if status == 401 else 4429, "reason": message})
