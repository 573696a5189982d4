"""Reads the comment that spinbot writes into mp4, wav and png, without a decoder: the file may be anybody's."""

from __future__ import annotations

import json
import mmap
import struct
from pathlib import Path
from typing import Any, BinaryIO

LONGEST = 1 << 16
"""Bytes of a comment that are looked at."""
CONTAINERS = {b"moov": 0, b"udta": 0, b"meta": 4, b"ilst": 0, b"\xa9cmt": 0}
"""The way to an mp4's comment: box -> bytes between its header and its children (ISO/IEC 14496-12, 8.11)."""


def provenance(path: Path) -> dict[str, Any] | None:
    """What the file says of itself, None when it says nothing that spinbot wrote. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(12)
        end = file.seek(0, 2)
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            text = _riff(file, 12, end)
        elif head.startswith(b"\x89PNG\r\n\x1a\n"):
            text = _png(file, 8, end)
        elif head[4:8] == b"ftyp":
            text = _mp4(file, 0, end)
        else:
            return None
    try:
        facts = json.loads(text.rstrip(b"\0"))
    except ValueError:
        return None
    ours = isinstance(facts, dict) and str(facts.get("tool", "")).startswith("spinbot ")
    return facts if ours else None


def credentials(path: Path) -> dict[str, Any] | None:
    """Who signed the file, after C2PA; None when nobody did. Nothing is fetched from where a file says.

    Returns:
        `state` (valid, trusted: by an authority of C2PA's list, invalid: changed after it was signed, or unknown
        when the library is not installed), `signer`, `issuer`, `generator`.
    """
    if not _mentions(path, b"c2pa.claim"):
        return None
    try:
        import c2pa
    except ImportError:
        return {"state": "unknown"}
    settings = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
    try:
        with c2pa.Reader(path, context=c2pa.Context(c2pa.Settings.from_dict(settings))) as reader:
            said = json.loads(reader.json())
    except c2pa.C2paError as error:
        return {"state": "invalid", "error": str(error)[:300]}
    manifest = said["manifests"][said["active_manifest"]]
    signature, generator = manifest.get("signature_info", {}), manifest.get("claim_generator_info") or [{}]
    return {
        "state": str(said.get("validation_state", "unknown")).lower(),
        "signer": signature.get("common_name"),
        "issuer": signature.get("issuer"),
        "generator": f"{generator[0].get('name', '?')} {generator[0].get('version', '')}".strip(),
    }


def _mentions(path: Path, words: bytes) -> bool:
    with path.open("rb") as file:
        if not file.seek(0, 2):
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return whole.find(words) >= 0


def _mp4(file: BinaryIO, start: int, end: int) -> bytes:
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            size, header = int.from_bytes(file.read(8), "big"), 16
        elif size == 0:
            size = end - start
        if size < header or start + size > end:
            return b""
        if kind == b"data":
            file.seek(start + header + 8)  # the type of the value, and its language
            return file.read(min(size - header - 8, LONGEST)) if size > header + 8 else b""
        if kind in CONTAINERS and (found := _mp4(file, start + header + CONTAINERS[kind], start + size)):
            return found
        start += size
    return b""


def _riff(file: BinaryIO, start: int, end: int) -> bytes:
    while start + 8 <= end:
        file.seek(start)
        kind, size = struct.unpack("<4sI", file.read(8))
        if kind == b"ICMT":
            return file.read(min(size, LONGEST))
        if (
            kind == b"LIST"
            and file.read(4) == b"INFO"
            and (found := _riff(file, start + 12, min(end, start + 8 + size)))
        ):
            return found
        start += 8 + size + size % 2
    return b""


def _png(file: BinaryIO, start: int, end: int) -> bytes:
    while start + 12 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"tEXt" and (text := file.read(min(size, LONGEST))).startswith(b"Comment\0"):
            return text[8:]
        start += 12 + size
    return b""
