"""Files that are two things at once: a recording for us, an archive or a page for whoever gets it from us."""

from __future__ import annotations

import zipfile
from pathlib import Path

from spinbot.errors import BadInput

HEAD = 1024
"""Bytes in which readers of PDF and HTML look for their beginning."""
FIRST = {b"MZ": "a Windows program", b"\x7fELF": "a program", b"#!": "a script", b"7z\xbc\xaf'\x1c": "a 7z archive"}
WITHIN = {
    b"%pdf-": "a PDF",
    b"<html": "a web page",
    b"<!doctype": "a web page",
    b"<script": "a web page",
    b"<svg": "a drawing with scripts",
    b"<?php": "a PHP program",
}


def refuse_polyglot(path: Path) -> None:
    """Raises BadInput when a file that will be read as sound or picture is something else as well; OSError."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    also = next((what for magic, what in FIRST.items() if head.startswith(magic)), "")
    also = also or next((what for magic, what in WITHIN.items() if magic in head.lower()), "")
    also = also or ("a zip archive" if _is_archive(path) else "")
    if also:
        raise BadInput(f"{path} is {also} as well", hint="export the recording or the picture again, alone")


def _is_archive(path: Path) -> bool:
    """A zip is read from its end, whatever is in front of it. Its whole directory must be there: four bytes that look
    like one are in many recordings."""
    try:
        with zipfile.ZipFile(path) as archive:
            return bool(archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OverflowError):
        return False
