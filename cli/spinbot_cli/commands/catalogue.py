"""spinbot voices, looks, models and token"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spinbot.errors import NotFound
from spinbot_cli.client import Client
from spinbot_cli.options import Json
from spinbot_cli.say import ago, document, out, size, table


def voices(as_json: Json = False) -> None:
    """List the voices that --voice takes."""
    _show("voices", ["VOICE", "SIMILARITY", "STEPS", "MADE", "SIZE"], _voice, as_json)


def looks(as_json: Json = False) -> None:
    """List the looks that --look takes."""
    _show("looks", ["LOOK", "MODEL", "STEPS", "MADE", "SIZE"], _look, as_json)


def models(as_json: Json = False) -> None:
    """List the image models on this machine that --model takes."""
    _show("models", ["MODEL", "SIZE"], lambda item: [item["name"], size(item["bytes"])], as_json)


def token(
    webhook: Annotated[bool, typer.Option("--webhook", help="The secret that webhooks are signed with.")] = False,
    as_json: Json = False,
) -> None:
    """Print the token that the daemon asks for over TCP.

    curl -H "Authorization: Bearer $(spinbot token)" "$(spinbot daemon status --json | jq -r .url)/api/jobs"
    """
    client = Client()
    if webhook:
        found = _kept(client.ensure().home.webhook_secret_file)
    else:
        found = client.token or _kept(client.ensure().home.token_file)
    document({"token": found}) if as_json else out(found)


def _kept(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise NotFound(f"no secret at {path}", hint="spinbot daemon restart makes one") from error


def _show(what: str, header: list[str], row: Any, as_json: bool) -> None:
    found = Client().ensure().ask("GET", f"/api/{what}")
    if as_json:
        document(found)
    else:
        out("\n".join(table(header, [row(item) for item in found[what]])))


def _voice(item: dict[str, Any]) -> list[str]:
    similarity = item.get("similarity")
    return [
        item["name"],
        f"{similarity:.2f}" if similarity is not None else "-",
        str(item.get("steps", "-")),
        *_made(item),
    ]


def _look(item: dict[str, Any]) -> list[str]:
    return [item["name"], str(item.get("model", "-")), str(item.get("steps", "-")), *_made(item)]


def _made(item: dict[str, Any]) -> list[str]:
    return [ago(item["created"]) if "created" in item else "-", size(item.get("bytes", 0))]
