"""uvicorn's HTTP/1.1, for a listener that strangers can connect to."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class Impatient(H11Protocol):
    """Closes a connection whose first request is not there after `within` seconds: each holds a descriptor."""

    within = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.loop.call_later(self.within, self._close_when_idle)

    def _close_when_idle(self) -> None:
        # A WebSocket has another protocol by now, and a request that is being answered has a cycle.
        if self.cycle is None and self.transport.get_protocol() is self and not self.transport.is_closing():
            self.transport.close()
