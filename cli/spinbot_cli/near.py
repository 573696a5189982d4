"""What somebody who mistyped a name may have meant."""

from __future__ import annotations

from difflib import get_close_matches

from spinbot.errors import SpinbotError
from spinbot_cli.client import Client


def nearest(client: Client, error: SpinbotError, **wanted: str | None) -> SpinbotError:
    """`error`, its hint beginning with the nearest match of the name it is about.

    Args:
        wanted: a catalogue, `voices` or `looks` -> the name that was asked for in it.
    """
    for kind, name in wanted.items():
        if name and repr(name) in str(error):
            known = [item["name"] for item in client.ask("GET", f"/api/{kind}")[kind]]
            if match := get_close_matches(name, known, n=1):
                error.hint = f"did you mean {match[0]}? {error.hint}"
    return error
