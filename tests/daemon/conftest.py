"""The routes and the stream are tested on a real gateway."""

from real_gateway import gateway, until_closed, watch_buffer  # noqa: F401
