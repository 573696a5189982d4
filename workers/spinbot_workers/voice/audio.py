"""Reading recordings: anything libsndfile or ffmpeg's libraries (PyAV) can, refused by name when it will not do.

No torch here: the probe that the daemon runs for every request imports this file.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from spinbot.errors import BadInput

Samples = npt.NDArray[np.float32]

SAMPLE_RATE = 22_050
SHORTEST = 3.0
"""Seconds of sound that a voice needs, over all files together."""
LONGEST_MINUTES = 30.0
RATES = (4_000, 384_000)
LOUDEST = 2.0**32
"""Full scale is 1; a float file in the scale of 32-bit integers is read too, and one that would overflow is not."""
CHANNELS = 8
SILENT = 10 ** (-50 / 20)
"""RMS under which 50 ms count as silence."""
BLOCK = 1 << 16
CONTAINERS = "aac,aiff,amr,asf,au,avi,caf,flac,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mp3,ogg,opus,w64,wav"
"""What PyAV may open: never a playlist or a concat script, which would name further files."""


@dataclass(frozen=True)
class Recording:
    """What was found on reading a file to its end. `sound` is the part of `seconds` that is not silent."""

    path: Path
    seconds: float
    sound: float
    sample_rate: int
    channels: int


def inspect(path: Path, *, max_minutes: float = LONGEST_MINUTES) -> Recording:
    """Decode `path` to its end without keeping it.

    Raises:
        BadInput: missing, empty, not audio, truncated, silent, longer than `max_minutes`, or with NaN samples.
    """
    reader = _open(path)
    count, sound = 0, 0
    window = max(1, reader.sample_rate // 20)
    rest = np.zeros(0, dtype=np.float32)  # ffmpeg hands out frames shorter than a window
    for block in _checked(path, reader, max_minutes):
        count += len(block)
        block = np.concatenate([rest, block])
        whole = len(block) // window * window
        rms = np.sqrt((block[:whole].reshape(-1, window).astype(np.float64) ** 2).mean(axis=1))
        sound += int((rms > SILENT).sum()) * window
        rest = block[whole:]
    if sound == 0:
        raise BadInput(f"{path} is silent", hint="record again, closer to the microphone")
    return Recording(path, count / reader.sample_rate, sound / reader.sample_rate, reader.sample_rate, reader.channels)


def read(path: Path, *, max_minutes: float = LONGEST_MINUTES) -> Samples:
    """(n,) mono float32 in [-1, 1] at SAMPLE_RATE. Raises as `inspect` does, but takes silence."""
    reader = _open(path)
    blocks = list(_checked(path, reader, max_minutes))
    samples = resample(np.concatenate(blocks), reader.sample_rate, SAMPLE_RATE)
    peak = float(np.abs(samples).max(initial=0.0))
    return samples / peak if peak > 1 else samples


def resample(samples: Samples, rate: int, to: int) -> Samples:
    import soxr

    return samples if rate == to else np.asarray(soxr.resample(samples, rate, to), dtype=np.float32)


def check_total(recordings: list[Recording], *, max_minutes: float = LONGEST_MINUTES) -> None:
    """Refuse when all recordings together are too short or too long for a voice."""
    sound, seconds = sum(item.sound for item in recordings), sum(item.seconds for item in recordings)
    limits = f"a voice needs {SHORTEST:g} s to {max_minutes:g} min"
    if sound < SHORTEST:
        if len(recordings) == 1:
            one = recordings[0]
            of = "" if one.seconds < SHORTEST else f" in {one.seconds:.1f} s"
            raise BadInput(f"{one.path} has {sound:.1f} s of sound{of}; {limits}", hint="record a little more")
        raise BadInput(f"the {len(recordings)} recordings have {sound:.1f} s of sound in all; {limits}")
    if seconds > max_minutes * 60:
        raise BadInput(
            f"the {len(recordings)} recordings are {seconds / 60:.1f} min long in all; {limits}",
            hint="pass fewer files, or --max-minutes",
        )


@dataclass
class _Reader:
    sample_rate: int
    channels: int
    blocks: Iterator[Samples]
    expected: int | None
    """Frames the header promises, where it can be trusted."""


def _checked(path: Path, reader: _Reader, max_minutes: float) -> Iterator[Samples]:
    if not RATES[0] <= reader.sample_rate <= RATES[1]:
        raise BadInput(f"{path} has a sample rate of {reader.sample_rate} Hz; it may be {RATES[0]} to {RATES[1]} Hz")
    if not 1 <= reader.channels <= CHANNELS:
        raise BadInput(f"{path} has {reader.channels} channels; it may have 1 to {CHANNELS}")
    count = 0
    for block in reader.blocks:
        if not np.isfinite(block).all():
            raise BadInput(f"{path} holds samples that are not numbers (NaN or infinite)", hint="export it again")
        if float(np.abs(block).max(initial=0.0)) > LOUDEST:
            raise BadInput(f"{path} holds samples that no recording has (over {LOUDEST:g})", hint="export it again")
        count += len(block)
        if count / reader.sample_rate > max_minutes * 60:
            raise BadInput(
                f"{path} is longer than {max_minutes:g} min; a voice needs {SHORTEST:g} s to {max_minutes:g} min",
                hint="cut it, or pass --max-minutes",
            )
        yield block
    if count == 0:
        raise BadInput(f"{path} holds no sound")
    if reader.expected is not None and count < reader.expected * 0.99:
        raise BadInput(
            f"{path} is truncated: {count / reader.sample_rate:.1f} s of "
            f"{reader.expected / reader.sample_rate:.1f} s are there",
            hint="copy it again",
        )


def _open(path: Path) -> _Reader:
    if path.is_dir():
        raise BadInput(f"{path} is a folder, not a recording")
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from error
    if not head:
        raise BadInput(f"{path} is empty")
    try:
        return _with_soundfile(path)
    except soundfile.LibsndfileError as first:
        try:
            return _with_av(path)
        except BadInput as second:
            raise BadInput(
                f"{path} is not a recording that can be read: {_reason(first)}",
                hint="wav, flac, mp3, m4a, ogg and what else libsndfile and ffmpeg read",
            ) from second


def _with_soundfile(path: Path) -> _Reader:
    file = soundfile.SoundFile(str(path))
    promised = _promised_by_wav(path)

    def blocks() -> Iterator[Samples]:
        try:
            with file:
                while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                    yield block.mean(axis=1)
        except soundfile.LibsndfileError as error:
            raise BadInput(f"{path} is damaged or truncated: {_reason(error)}", hint="copy it again") from error

    # libsndfile guesses the length of an mp3, and a stream of unknown length says 2**63 - 1
    known = file.format != "MP3" and file.frames < 1 << 62
    return _Reader(file.samplerate, file.channels, blocks(), promised or (file.frames if known else None))


def _promised_by_wav(path: Path) -> int | None:
    """Frames by the data chunk of a RIFF file: libsndfile mends a cut file in silence, and we want to say so."""
    with path.open("rb") as file:
        if file.read(12)[:4] != b"RIFF":
            return None
        size_of_frame = 0
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", header)
            if name == b"fmt ":
                size_of_frame = struct.unpack("<12xH", file.read(14))[0]
                file.seek(size - 14 + size % 2, 1)
            elif name == b"data":
                streamed = size in (0, 0xFFFFFFFF, 0x7FFFFFFF)  # written by a pipe that did not know the length
                return size // size_of_frame if size_of_frame and not streamed else None
            else:
                file.seek(size + size % 2, 1)
    return None


def _with_av(path: Path) -> _Reader:
    import av

    try:
        container = av.open(str(path), options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise BadInput(f"{path}: {error}") from error
    if not container.streams.audio:
        container.close()
        raise BadInput(f"{path} has no sound in it")
    stream: Any = container.streams.audio[0]
    if stream.codec_context is None:
        container.close()
        raise BadInput(f"{path} holds sound in a format that nothing here decodes")
    rate, channels = int(stream.rate or 0), int(stream.channels or 0)

    def blocks() -> Iterator[Samples]:
        resampler = av.AudioResampler(format="fltp", rate=rate)
        try:
            with container:
                for frame in container.decode(stream):
                    for part in resampler.resample(frame):
                        yield part.to_ndarray().mean(axis=0, dtype=np.float32)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise BadInput(f"{path} is damaged or truncated: {error}", hint="copy it again") from error

    expected = int(stream.duration * stream.time_base * rate) if stream.duration else None
    return _Reader(rate, channels, blocks(), expected)


def _reason(error: Exception) -> str:
    """Without libsndfile's preamble, which repeats the path."""
    return str(getattr(error, "error_string", error)).rstrip(".")
