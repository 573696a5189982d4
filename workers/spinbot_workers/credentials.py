"""Content Credentials (C2PA 2): a signature over a finished file by whoever runs this spinbot, if they have a
certificate for that. Without one the comment of `provenance` says the same, unsigned."""

from __future__ import annotations

import functools
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

import spinbot
from spinbot.errors import JobFailed
from spinbot.settings import Settings
from spinbot_workers.provenance import SYNTHETIC

Sign = Callable[[Path], None]
"""Replaces an mp4, a png or a wav by itself with the signature in it."""
ALGORITHMS = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
"""What an elliptic key signs with (C2PA 2.1, 13.2.1)."""
REMEDY = "SPINBOT_C2PA_CERT is a chain (PEM), SPINBOT_C2PA_KEY its key without a password; see docs/provenance.md"
NO_THUMBNAIL = {"builder": {"thumbnail": {"enabled": False}}}


def signer(settings: Settings) -> Sign:
    """What signs with the certificate in `settings`, tried on a picture of one pixel; nothing when there is none.

    Raises:
        JobFailed: c2pa is not installed, or does not take the certificate. Before anything is drawn.
    """
    if settings.c2pa_cert is None or settings.c2pa_key is None:
        return lambda path: None
    try:
        import c2pa
    except ImportError as error:
        raise JobFailed(
            "SPINBOT_C2PA_CERT is set and c2pa is not installed", hint="pip install 'spinbot[c2pa]'"
        ) from error
    try:
        chain, key = settings.c2pa_cert.read_bytes(), settings.c2pa_key.read_bytes()
        about = c2pa.C2paSignerInfo(alg=_algorithm(key), sign_cert=chain, private_key=key, ta_url=None)
        with c2pa.Signer.from_info(about) as sign, c2pa.Builder(_manifest(), _context()) as builder:
            builder.sign(sign, "image/png", _pixel(), io.BytesIO())
    except (OSError, ValueError, TypeError, c2pa.C2paError) as error:
        raise JobFailed(f"{settings.c2pa_cert} does not sign: {error}", hint=REMEDY) from error
    return functools.partial(_sign, about)


def _sign(about: Any, path: Path) -> None:
    import c2pa

    signed = path.with_stem(f"{path.stem}-signed")
    try:
        with c2pa.Signer.from_info(about) as sign, c2pa.Builder(_manifest(), _context()) as builder:
            builder.sign_file(path, signed, sign)
        os.replace(signed, path)
    finally:
        signed.unlink(missing_ok=True)


def _context() -> Any:
    import c2pa

    return c2pa.Context(c2pa.Settings.from_dict(NO_THUMBNAIL))


def _manifest() -> dict[str, Any]:
    made = {"action": "c2pa.created", "digitalSourceType": SYNTHETIC}
    return {
        "claim_generator_info": [{"name": "spinbot", "version": spinbot.__version__}],
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [made]}}],
    }


def _algorithm(key: bytes) -> bytes:
    """Raises ValueError, TypeError (a password)."""
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    match load_pem_private_key(key, password=None):
        case EllipticCurvePrivateKey() as elliptic if elliptic.curve.name in ALGORITHMS:
            return ALGORITHMS[elliptic.curve.name].encode()
        case Ed25519PrivateKey():
            return b"ed25519"
        case RSAPrivateKey():
            return b"ps256"
        case other:
            raise ValueError(f"a key of the kind {type(other).__name__} is not for this")


def _pixel() -> io.BytesIO:
    picture = io.BytesIO()
    Image.new("RGB", (1, 1)).save(picture, "PNG")
    picture.seek(0)
    return picture
