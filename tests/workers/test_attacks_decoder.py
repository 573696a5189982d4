"""Files made to harm the one who reads them, each through the reader as the daemon starts it, within its limits."""

from __future__ import annotations

import io
import json
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from spinbot_daemon.probing import _run

SAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"


def wav(
    *, rate: int = 22050, channels: int = 1, kind: int = 1, bits: int = 16, data: bytes = b"", said: int = -1
) -> bytes:
    """A RIFF file whose header says whatever it is told to."""
    align = channels * bits // 8
    fmt = struct.pack("<HHIIHH", kind, channels, rate, (rate * align) & 0xFFFFFFFF, align & 0xFFFF, bits)
    size = len(data) if said < 0 else said
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + fmt + (
        b"data" + struct.pack("<I", size) + data
    )  # fmt: skip


def silence_of_hours() -> bytes:
    """Twelve hours of a constant in some hundred kilobytes of FLAC."""
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", 8000, 1, format="FLAC", subtype="PCM_16") as file:
        block = np.full(8000 * 600, 0.25, dtype=np.float32)
        for _ in range(72):
            file.write(block)
    assert len(buffer.getvalue()) < 8 << 20
    return buffer.getvalue()


def png_bomb() -> bytes:
    """100,000 x 100,000 pixels, of which no data need follow."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(bytes(1 << 20)))
        + chunk(b"IEND", b"")
    )


def lying_jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), "red").save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", 65_000, 65_000)
    return bytes(data)


SECOND = (np.sin(np.arange(44100) / 20) * 20000).astype("<i2").tobytes()
NANS = np.full(44100, np.nan, dtype="<f4").tobytes()
ATTACKS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a rate of 10^9 Hz": ("a.wav", lambda: wav(rate=1_000_000_000, data=SECOND)),
    "a rate of 0 Hz": ("a.wav", lambda: wav(rate=0, data=SECOND)),
    "1,000 channels": ("a.wav", lambda: wav(channels=1000, data=SECOND)),
    "samples that are NaN": ("a.wav", lambda: wav(kind=3, bits=32, data=NANS)),
    "data of 4 GB in a header": ("a.wav", lambda: wav(data=SECOND[:2000], said=0xFFFFFFF0)),
    "twelve hours in a small FLAC": ("a.flac", silence_of_hours),
    "a playlist of this machine's files": ("a.m3u8", lambda: b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n#EXT-X-ENDLIST\n"),
    "a concat script": ("a.wav", lambda: b"ffconcat version 1.0\nfile /etc/passwd\n"),
    "a page that calls itself a wav": ("a.wav", lambda: b"<html><script>alert(1)</script></html>" * 100),
    "an SVG that calls itself a png": ("a.png", lambda: b'<svg xmlns="http://www.w3.org/2000/svg"/>'),
    "a PNG of 10^10 pixels": ("a.png", png_bomb),
    "a JPEG that lies about its size": ("a.jpg", lying_jpeg),
    "a pickle": ("a.wav", lambda: b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93."),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_it_is_refused_in_words_and_the_reader_lives(tmp_path: Path, attack: str) -> None:
    name, made = ATTACKS[attack]
    path = tmp_path / name
    path.write_bytes(made())
    code, out, err = _run([sys.executable, "-m", "spinbot_workers.probe", str(path)])
    assert code == 2, (code, out, err[-500:])
    said = json.loads(out)
    assert str(path) in said["error"]
    assert "root:" not in out + err, "the file it points at was read"
    assert "Traceback" not in err


def test_a_playlist_does_not_make_the_reader_open_a_recording_beside_it(tmp_path: Path) -> None:
    (tmp_path / "real.wav").write_bytes(SAMPLE.read_bytes())
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXTINF:10,\nreal.wav\n#EXT-X-ENDLIST\n")
    code, out, _ = _run([sys.executable, "-m", "spinbot_workers.probe", str(path)])
    assert code == 2, out


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("evil.sh", "rm -rf /")
    return buffer.getvalue()


def with_words(data: bytes, words: bytes) -> bytes:
    """A wav with a chunk of `words` in front of its sound."""
    words += b" " * (len(words) % 2)
    return data[:12] + b"note" + struct.pack("<I", len(words)) + words + data[12:]


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (300, 300), "red").save(buffer, "PNG")
    return buffer.getvalue()


POLYGLOTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a zip archive": ("a.wav", lambda: SAMPLE.read_bytes() + archive()),
    "a zip archive as well": ("a.png", lambda: picture() + archive()),
    "a PDF": ("a.wav", lambda: with_words(SAMPLE.read_bytes(), b"%PDF-1.7 1 0 obj")),
    "a web page": ("a.wav", lambda: with_words(SAMPLE.read_bytes(), b"<ScRiPt>alert(1)</script>")),
    "a PHP program": ("a.wav", lambda: with_words(SAMPLE.read_bytes(), b"<?php system('id');")),
}


@pytest.mark.parametrize("also", POLYGLOTS)
def test_a_polyglot_is_refused(tmp_path: Path, also: str) -> None:
    name, made = POLYGLOTS[also]
    path = tmp_path / name
    path.write_bytes(made())
    code, out, err = _run([sys.executable, "-m", "spinbot_workers.probe", str(path)])
    assert code == 2, (code, out, err[-500:])
    assert also.removesuffix(" as well") in json.loads(out)["error"]


@pytest.mark.parametrize("tail", [b"PK\x05\x06" + bytes(18), b"PK\x03\x04", b"LIST\x04\x00\x00\x00INFO"])
def test_a_recording_that_happens_to_hold_such_bytes_is_taken(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(SAMPLE.read_bytes() + tail)
    code, out, err = _run([sys.executable, "-m", "spinbot_workers.probe", str(path)])
    assert code == 0, (out, err)
