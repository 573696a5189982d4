"""`spinbot inspect`: where a file comes from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spinbot.errors import BadInput, NotFound
from spinbot_cli.options import Json
from spinbot_cli.provenance import credentials, provenance
from spinbot_cli.say import document, out, table

NAMES = {"digitalSourceType": "source type", "voiceSha256": "voice sha256", "voiceConsent": "consent of the voice"}
NAMES |= {"lookSha256": "look sha256", "lookConsent": "consent of the look"}

STATES = {
    "valid": "unchanged since it was signed; who signed is nobody on the list of C2PA",
    "trusted": "unchanged since it was signed, by somebody on the list of C2PA",
    "invalid": "changed after it was signed, or wrongly signed",
    "unknown": "signed; pip install 'spinbot[c2pa]' to see by whom",
}


def inspect(
    file: Annotated[Path, typer.Argument(help="An mp4, wav or png.")],
    as_json: Json = False,
) -> None:
    """Say by what, when and with whose voice a file was made.

    spinbot inspect video.mp4
    """
    try:
        facts, signed = provenance(file), credentials(file)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}", hint="pass an mp4, wav or png that can be read") from None
    if facts is None and signed is None:
        raise NotFound(
            f"{file} does not say that spinbot made it", hint="editing or uploading a file often drops what it says"
        )
    if as_json:
        document({"file": str(file), "provenance": facts, "credentials": signed})
        return
    rows = [(NAMES.get(key, key), "not said" if value is None else str(value)) for key, value in (facts or {}).items()]
    rows += [
        (f"credentials {key}", "not said" if value is None else str(value)) for key, value in (signed or {}).items()
    ]
    if signed and signed["state"] in STATES:
        rows.append(("", STATES[signed["state"]]))
    out("\n".join(table(("what", "value"), rows)))
