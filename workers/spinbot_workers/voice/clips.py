"""Cutting recordings into clips of one to six seconds, at silences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from spinbot_workers.voice.audio import SAMPLE_RATE, Samples

SHORTEST, LONGEST = 1.0, 6.0
"""Seconds of a clip. Shorter ones teach little; longer ones cost memory and seconds for every training step."""
FRAME = SAMPLE_RATE // 100
PAUSE = 0.12
"""Seconds of quiet that count as a pause between words; the closure of a p or a t is shorter."""
SILENT = -65.0
"""dB under which nothing is speech, however quiet the rest."""
MARGIN = 0.06
"""Seconds of quiet kept before and after."""


@dataclass(frozen=True)
class Clip:
    """`samples` (n,) of the file called `name`, from second `start` to `end`."""

    name: str
    start: float
    end: float
    samples: Samples

    def __str__(self) -> str:
        return f"{self.name} from {self.start:.1f} to {self.end:.1f} s"

    @property
    def seconds(self) -> float:
        return len(self.samples) / SAMPLE_RATE


def split(samples: Samples, *, name: str) -> list[Clip]:
    """Clips in order, quiet left out. A stretch without any pause is cut where it is quietest.

    Args:
        samples: (n,) at SAMPLE_RATE.
    """
    quiet, level = _quiet(samples)
    spoken = _runs(~quiet)
    clips: list[tuple[int, int]] = []
    for start, end in _joined(spoken):
        clips += _cut(start, end, level)
    margin = round(MARGIN * 100)
    made = []
    for index, (start, end) in enumerate(clips):
        # half of the pause at most, so that neighbours share nothing
        before = min(margin, (start - clips[index - 1][1]) // 2) if index else min(margin, start)
        after = min(margin, (clips[index + 1][0] - end) // 2) if index + 1 < len(clips) else margin
        low, high = (start - before) * FRAME, min(len(samples), (end + after) * FRAME)
        if high - low >= SHORTEST * 0.5 * SAMPLE_RATE:
            made.append(Clip(name, low / SAMPLE_RATE, high / SAMPLE_RATE, samples[low:high]))
    return made


def _quiet(samples: Samples) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """For each frame of 10 ms whether it belongs to a pause, and its level in dB."""
    count = len(samples) // FRAME
    power = (samples[: count * FRAME].reshape(count, FRAME).astype(np.float64) ** 2).mean(axis=1)
    level = 10 * np.log10(power + 1e-10)
    floor, loud = np.percentile(level, [5, 95]) if count else (-100.0, -100.0)
    quiet = (level < max(floor + 0.2 * (loud - floor), loud - 40)) | (level < SILENT)
    for start, end in _runs(quiet):  # too short for a pause
        if end - start < PAUSE * 100 and start > 0 and end < count:
            quiet[start:end] = False
    for start, end in _runs(~quiet):  # a click
        if end - start < 4:
            quiet[start:end] = True
    return quiet, level


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def _joined(spoken: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbours put together, across the shortest pause first, as long as the result is not over LONGEST."""
    clips = list(spoken)
    while len(clips) > 1:
        pauses = [
            (clips[i + 1][0] - clips[i][1], i)
            for i in range(len(clips) - 1)
            if clips[i + 1][1] - clips[i][0] <= LONGEST * 100 - 2 * MARGIN * 100
            # a long pause inside a clip teaches silence: join over one only to save a short clip
            and (clips[i + 1][0] - clips[i][1] < 40 or min(_length(clips[i]), _length(clips[i + 1])) < SHORTEST * 100)
        ]
        if not pauses:
            break
        _, at = min(pauses)
        clips[at : at + 2] = [(clips[at][0], clips[at + 1][1])]
    return clips


def _length(clip: tuple[int, int]) -> int:
    return clip[1] - clip[0]


def _cut(start: int, end: int, level: npt.NDArray[np.float64]) -> list[tuple[int, int]]:
    """(start, end) in pieces of at most LONGEST, each cut at the quietest frame of the middle half."""
    if end - start <= LONGEST * 100:
        return [(start, end)]
    quarter = (end - start) // 4
    smooth = np.convolve(level[start + quarter : end - quarter], np.ones(5) / 5, mode="same")
    middle = start + quarter + int(np.argmin(smooth))
    return [*_cut(start, middle, level), *_cut(middle, end, level)]
