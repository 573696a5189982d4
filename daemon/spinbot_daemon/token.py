"""The daemon's secrets, each in a file that only its user can read."""

from __future__ import annotations

import secrets
from pathlib import Path

from spinbot.files import write_atomic
from spinbot.home import Home


def ensure_token(home: Home) -> str:
    """The token that TCP asks for, made at the first start."""
    return _ensure(home.token_file)


def ensure_webhook_secret(home: Home) -> str:
    """What webhooks are signed with, made at the first start."""
    return _ensure(home.webhook_secret_file)


def _ensure(path: Path) -> str:
    """What is in `path`, else 256 new bits."""
    try:
        if secret := path.read_text().strip():
            path.chmod(0o600)
            return secret
    except FileNotFoundError:
        pass
    secret = secrets.token_urlsafe(32)
    write_atomic(path, secret + "\n", mode=0o600)
    return secret
