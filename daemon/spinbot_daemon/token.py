"""The daemon's token: a secret in a file that only its user can read."""

from __future__ import annotations

import secrets

from spinbot.files import write_atomic
from spinbot.home import Home


def ensure_token(home: Home) -> str:
    """The token, made at the first start (256 bits)."""
    try:
        if token := home.token_file.read_text().strip():
            home.token_file.chmod(0o600)
            return token
    except FileNotFoundError:
        pass
    token = secrets.token_urlsafe(32)
    write_atomic(home.token_file, token + "\n", mode=0o600)
    return token
