"""Mutated recordings through the decoder that meets everybody's files: a reading or a refusal, never anything else.

The mutations of one number are the same every time. A child process with the daemon's limits decodes; should it die,
that is a finding, and another goes on after the file it died of.
"""

from __future__ import annotations

import io
import json
import random
import resource
import struct
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

SAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"
MEMORY = 4 << 30
SECONDS_EACH = 20
INTERESTING = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@dataclass
class Findings:
    """How many were read and refused, and what else happened."""

    read: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)


def seeds() -> list[tuple[str, bytes]]:
    """One second of speech in each container, as (suffix, bytes)."""
    import soundfile

    samples, rate = soundfile.read(SAMPLE, frames=22050, dtype="float32")
    found: list[tuple[str, bytes]] = []
    for suffix, kind, subtype in (
        (".wav", "WAV", "PCM_16"),
        (".wav", "WAV", "FLOAT"),
        (".wav", "WAVEX", "PCM_24"),
        (".flac", "FLAC", "PCM_16"),
        (".ogg", "OGG", "VORBIS"),
        (".mp3", "MP3", "MPEG_LAYER_III"),
        (".aiff", "AIFF", "PCM_16"),
    ):
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
        found.append((suffix, buffer.getvalue()))
    return [*found, (".m4a", _m4a(samples, rate))]


def _m4a(samples: object, rate: int) -> bytes:
    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.asarray(samples, dtype=np.float32)[None], "fltp", "mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


def mutated(number: int, whole: list[tuple[str, bytes]]) -> tuple[str, bytes]:
    """The file of this number: one to six changes of one of the seeds."""
    chance = random.Random(number)
    suffix, data = chance.choice(whole)
    changed = bytearray(data)
    for _ in range(chance.randint(1, 6)):
        chance.choice(CHANGES)(changed, chance)
    return suffix, bytes(changed)


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 64)):
        if data:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _field(data: bytearray, chance: random.Random) -> None:
    """A number in the header, where sizes, rates and channels are."""
    if len(data) > 8:
        place, value = chance.randrange(min(len(data) - 4, 256)), chance.choice(INTERESTING)
        data[place : place + 4] = struct.pack(chance.choice("<>") + "I", value)


def _cut(data: bytearray, chance: random.Random) -> None:
    del data[chance.randint(0, len(data)) :]


def _drop(data: bytearray, chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    del data[start : start + chance.randint(1, 4096)]


def _repeat(data: bytearray, chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    part = data[start : start + chance.randint(1, 4096)]
    at = chance.randint(0, len(data))
    data[at:at] = part * chance.randint(1, 8)


def _noise(data: bytearray, chance: random.Random) -> None:
    start = chance.randint(0, len(data))
    data[start : start + 512] = chance.randbytes(chance.randint(1, 512))


CHANGES: tuple[Callable[[bytearray, random.Random], None], ...] = (_flip, _field, _field, _cut, _drop, _repeat, _noise)


def decode(first: int, count: int) -> None:
    """In the child: says `["begin", n]` before and the outcome after each file, one JSON line each."""
    import numpy as np

    from spinbot.errors import BadInput
    from spinbot_workers.voice.audio import inspect, read

    whole = seeds()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            print(json.dumps(["begin", number]), flush=True)
            suffix, data = mutated(number, whole)
            path = Path(folder) / f"m{suffix}"
            path.write_bytes(data)
            try:
                inspect(path)
                samples = read(path)
                assert np.isfinite(samples).all()
                assert samples.ndim == 1
                print(json.dumps(["read"]), flush=True)
            except (BadInput, MemoryError):  # the probe answers both in words
                print(json.dumps(["refused"]), flush=True)
            except Exception:
                print(json.dumps(["wrong", number, traceback.format_exc(limit=-3)]), flush=True)


def run(count: int, first: int = 0) -> Findings:
    """Decode `count` mutations, each within the limits of the daemon's reader."""
    found, last = Findings(), first + count
    while first < last:
        child = subprocess.Popen(
            [sys.executable, __file__, str(first), str(last - first)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        resource.prlimit(child.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        seconds = 120 + SECONDS_EACH * (last - first) // 50
        resource.prlimit(child.pid, resource.RLIMIT_CPU, (seconds, seconds))
        at = first
        assert child.stdout is not None
        for line in child.stdout:
            match json.loads(line):
                case ["begin", number]:
                    at = number
                case ["read"]:
                    found.read += 1
                case ["refused"]:
                    found.refused += 1
                case ["wrong", number, text]:
                    found.wrong.append(f"mutation {number}: {text}")
        if child.wait() != 0:
            found.wrong.append(f"mutation {at}: the reader ended with {child.returncode}")
        first = at + 1
    return found


if __name__ == "__main__":
    decode(int(sys.argv[1]), int(sys.argv[2]))
