"""Which words belong to which clip, and whether they are what is said there: forced alignment with pocketsphinx."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Any

import numpy as np

from spinbot_workers.voice.arpabet import pronunciation
from spinbot_workers.voice.clips import Clip
from spinbot_workers.voice.words import RATE, Token, hear, pcm, tokens

FITS = -2.1
"""Log-likelihood a frame at which a clip and its words still belong together.

Measured on three speakers: right words -1.1 to -1.4, the same under loud white noise -1.4 to -2.4, another sentence's
words below -2.9 or no path at all, one word of a sentence wrong -1.7 to -2.4 or no path.
"""
PACE = (4.0, 40.0)
"""Letters a second at which people speak (12 to 16 as a rule): one short word fits any long clip, silence around it."""
AT_ONCE = 150.0
"""Seconds aligned in one go; above, and where that fails, recognition finds the places first."""


@dataclass(frozen=True)
class Aligned:
    """A clip, what is said in it, and how well the two fit (log-likelihood a frame of 10 ms; higher is better)."""

    clip: Clip
    text: str
    score: float

    @property
    def fits(self) -> bool:
        return self.score >= FITS


def assign(clips: Sequence[Clip], text: str, on_clip: Callable[[int, int], None]) -> list[Aligned]:
    """Share the words of `text` out over `clips`, which are one passage in order, and score each clip."""
    words = tokens(text)
    ranges = _by_alignment(clips, words) if sum(clip.seconds for clip in clips) <= AT_ONCE else None
    if ranges is None:
        ranges = _by_ear(clips, words, on_clip)
    found = []
    for index, (clip, (start, end)) in enumerate(zip(clips, ranges, strict=True)):
        found.append(scored(clip, words[start:end]))
        on_clip(index + 1, len(clips))
    for index in range(len(clips) - 1):
        if not (found[index].fits and found[index + 1].fits):
            found[index : index + 2], ranges[index : index + 2] = _mended(clips, words, ranges, found, index)
    return found


def scored(clip: Clip, words: Sequence[Token]) -> Aligned:
    """`clip` with `words` and their fit; -inf when there are none, or they cannot be made to fit at all."""
    text = " ".join(token.shown for token in words)
    pace = sum(len(token.word) for token in words) / clip.seconds
    path = _align(pcm(clip.samples), words) if PACE[0] <= pace <= PACE[1] else None
    return Aligned(clip, text, path.score if path else -math.inf)


def _mended(
    clips: Sequence[Clip], words: Sequence[Token], ranges: list[tuple[int, int]], found: list[Aligned], at: int
) -> tuple[list[Aligned], list[tuple[int, int]]]:
    """Clips `at` and `at + 1` with up to two words passed from one to the other, if both fit better then.

    The pause between clips was left out, and a word at the edge may have been stretched over it to the wrong side.
    """
    (start, cut), (_, end) = ranges[at], ranges[at + 1]
    best = (min(found[at].score, found[at + 1].score), found[at : at + 2], ranges[at : at + 2])
    for moved in (cut - 1, cut + 1, cut - 2, cut + 2):
        if start < moved < end:
            pair = [scored(clips[at], words[start:moved]), scored(clips[at + 1], words[moved:end])]
            best = max(best, (min(item.score for item in pair), pair, [(start, moved), (moved, end)]), key=_first)
    return best[1], best[2]


def _first(choice: tuple[float, list[Aligned], list[tuple[int, int]]]) -> float:
    return choice[0]


def _by_alignment(clips: Sequence[Clip], words: Sequence[Token]) -> list[tuple[int, int]] | None:
    """For each clip the first of its words and the one after its last; None when the words cannot be aligned."""
    path = _align(pcm(np.concatenate([clip.samples for clip in clips])), words) if words and clips else None
    if path is None:
        return None
    ends = np.cumsum([clip.seconds for clip in clips]) * 100  # frames of 10 ms
    middles = [(start + end) / 2 for start, end in path.words]
    cuts = [0, *(int(np.searchsorted(middles, end)) for end in ends[:-1]), len(words)]
    return list(zip(cuts[:-1], cuts[1:], strict=True))


def _by_ear(
    clips: Sequence[Clip], words: Sequence[Token], on_clip: Callable[[int, int], None]
) -> list[tuple[int, int]]:
    """The same by recognising each clip and laying what was heard over the text: slower, but never lost."""
    heard: list[str] = []
    ends: list[int] = []
    for index, clip in enumerate(clips):
        heard += hear(clip.samples).split()
        ends.append(len(heard))
        on_clip(index, len(clips))
    blocks = SequenceMatcher(a=heard, b=[token.word for token in words], autojunk=False).get_opcodes()

    def place(position: int) -> int:
        for _, a1, a2, b1, b2 in blocks:
            if position <= a2 and a2 > a1:
                return b1 + round((position - a1) / (a2 - a1) * (b2 - b1))
        return len(words)

    cuts = [0, *(place(end) for end in ends[:-1]), len(words)]
    cuts = list(np.maximum.accumulate(cuts))
    return [(int(start), int(end)) for start, end in zip(cuts[:-1], cuts[1:], strict=True)]


@dataclass(frozen=True)
class _Path:
    """Start and end of each word, in frames of 10 ms, and log-likelihood a frame."""

    words: list[tuple[int, int]]
    score: float


def _align(audio: bytes, words: Sequence[Token]) -> _Path | None:
    """None when no path reaches the end. Silences count for the score as the words do."""
    decoder = _aligner()
    for word in {token.word for token in words}:
        if decoder.lookup_word(word) is None:
            decoder.add_word(word, pronunciation(word), update=True)
    try:
        decoder.set_align_text(" ".join(token.word for token in words))
        decoder.start_utt()
        decoder.process_raw(audio, full_utt=True)
        decoder.end_utt()
        segments = list(decoder.seg())
    except (RuntimeError, TypeError):  # what pocketsphinx raises, and what iterating over no result does
        return None
    spoken = [(item.start_frame, item.end_frame + 1) for item in segments if item.word[0] not in "<["]
    if len(spoken) != len(words):
        return None
    total = sum(math.log(item.ascore) if item.ascore > 0 else -745.0 for item in segments)
    return _Path(spoken, total / max(1, segments[-1].end_frame + 1))


@cache
def _aligner() -> Any:
    from pocketsphinx import Decoder

    return Decoder(samprate=RATE, lm=None, loglevel="FATAL")
