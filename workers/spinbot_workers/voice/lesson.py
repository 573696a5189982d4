"""From recordings to clips with their words: what a voice is learned from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spinbot.errors import JobFailed
from spinbot.files import write_atomic
from spinbot.manifests import Source
from spinbot_workers.report import Report
from spinbot_workers.voice.align import Aligned, assign, scored
from spinbot_workers.voice.audio import SAMPLE_RATE, SHORTEST, Samples, check_total, inspect, read
from spinbot_workers.voice.clips import Clip, split
from spinbot_workers.voice.starter import sha256
from spinbot_workers.voice.words import beside, recogniser, tokens

HOLD_OUT_FROM = 10.0
"""Seconds of fitting speech from which one clip is kept back to measure the voice with."""


@dataclass(frozen=True)
class Lesson:
    """`train` is learned; `held_out` is not, or is one of `train` when there is too little to keep any back."""

    sources: list[Source]
    train: list[Aligned]
    held_out: Aligned
    left_out: int
    transcript_from: str

    @property
    def kept_back(self) -> bool:
        """Whether the voice can be measured with speech that it did not learn."""
        held_out = self.held_out.clip
        return all((item.clip.name, item.clip.start) != (held_out.name, held_out.start) for item in self.train)


def prepare(
    inputs: Sequence[Path], *, transcript: str | None, max_minutes: float, file: Path, report: Report
) -> Lesson:
    """Read, split, find the words, align. What was decided is kept in `file`, so that a resumed job decides the same.

    Raises:
        BadInput: a recording will not do.
        JobFailed: the words do not fit what is said; names the clip and what to pass.
    """
    sources, recordings = _read(inputs, max_minutes, report)
    if (kept := _kept(file, sources, recordings, transcript)) is not None:
        report.note("the clips and their words are those of the earlier attempt")
        return kept
    clips: list[list[Clip]] = []
    for number, (path, samples) in enumerate(zip(inputs, recordings, strict=True)):
        clips.append(split(samples, name=path.name))
        report.step("split", number + 1, len(inputs), f"{sum(map(len, clips))} clips")
    aligned, source = _aligned(inputs, clips, transcript, report)
    fitting = [item for item in aligned if item.fits]
    for item in aligned:
        if not item.fits:
            report.note(f"left out: {item.clip} does not fit {item.text[:60]!r} (score {item.score:.2f})")
    _check_fit(aligned, fitting, source)
    lesson = _shared_out(sources, fitting, len(aligned) - len(fitting), source)
    _keep(file, lesson, transcript)
    return lesson


def _read(inputs: Sequence[Path], max_minutes: float, report: Report) -> tuple[list[Source], list[Samples]]:
    sources, recordings, found = [], [], []
    for number, path in enumerate(inputs):
        found.append(inspect(path, max_minutes=max_minutes))
        recordings.append(read(path, max_minutes=max_minutes))
        sources.append(Source(name=path.name, sha256=sha256(path), seconds=round(found[-1].seconds, 3)))
        report.step("read", number + 1, len(inputs), f"Read {path.name}")
    check_total(found, max_minutes=max_minutes)
    return sources, recordings


def _aligned(
    inputs: Sequence[Path], clips: Sequence[Sequence[Clip]], transcript: str | None, report: Report
) -> tuple[list[Aligned], str]:
    """Each clip with its words, and where the words come from."""
    total = sum(map(len, clips))
    if transcript is not None:
        report.step("words", 1, 1, "The transcript that was given")
        passage = [clip for part in clips for clip in part]
        return assign(passage, transcript, lambda done, of: report.step("align", done, of, "Aligning")), "given"
    aligned: list[Aligned] = []
    origins: list[str] = []
    for path, part in zip(inputs, clips, strict=True):
        if (text := beside(path)) is not None:
            origins.append("file")
            report.step("words", len(aligned) + len(part), total, f"The words of {path.with_suffix('.txt').name}")
            done = len(aligned)
            aligned += assign(part, text, lambda n, of, done=done: report.step("align", done + n, total, "Aligning"))  # type: ignore[misc]
            continue
        name, listen = recogniser()
        origins.append(name)
        for clip in part:
            aligned.append(scored(clip, tokens(listen(clip))))
            report.step("words", len(aligned), total, f"Heard by {name}: {aligned[-1].text[:60]}")
    report.step("align", total, total, "Aligned")
    return aligned, ", ".join(dict.fromkeys(origins))


def _check_fit(aligned: Sequence[Aligned], fitting: Sequence[Aligned], source: str) -> None:
    all_seconds = sum(item.clip.seconds for item in aligned)
    seconds = sum(item.clip.seconds for item in fitting)
    if seconds >= max(SHORTEST * 0.8, all_seconds / 2):
        return
    if not aligned:
        raise JobFailed("no speech was found between the silences", hint="record again, closer to the microphone")
    if not any(item.text for item in aligned):
        raise JobFailed(
            f"no words were heard in {', '.join(dict.fromkeys(item.clip.name for item in aligned))}",
            hint="pass a recording of somebody who speaks English, or --transcript 'what is said'",
        )
    worst = min(aligned, key=lambda item: item.score)
    if source in ("given", "file"):
        hint = "pass --transcript with what is really said, or none at all: the words are recognised then"
    else:
        hint = "pass --transcript 'what is said', or put it into a .txt beside the recording"
    raise JobFailed(
        f"{worst.clip} does not fit its words {worst.text[:80]!r}; "
        f"{len(aligned) - len(fitting)} of {len(aligned)} clips do not fit",
        hint=hint,
    )


def _shared_out(sources: list[Source], fitting: list[Aligned], left_out: int, source: str) -> Lesson:
    """Keeps back the clip that is nearest to three seconds, of the second half."""
    if sum(item.clip.seconds for item in fitting) < HOLD_OUT_FROM or len(fitting) < 4:
        longest = max(fitting, key=lambda item: item.clip.seconds)
        return Lesson(sources, list(fitting), longest, left_out, source)
    back = min(fitting[len(fitting) // 2 :], key=lambda item: abs(item.clip.seconds - 3.0))
    return Lesson(sources, [item for item in fitting if item is not back], back, left_out, source)


def _keep(file: Path, lesson: Lesson, transcript: str | None) -> None:
    def row(item: Aligned) -> dict[str, object]:
        clip = item.clip
        return {"name": clip.name, "start": clip.start, "end": clip.end, "text": item.text, "score": item.score}

    about = {
        "sources": [item.sha256 for item in lesson.sources],
        "transcript": transcript,
        "from": lesson.transcript_from,
        "leftOut": lesson.left_out,
        "heldOut": row(lesson.held_out),
        "train": [row(item) for item in lesson.train],
    }
    write_atomic(file, json.dumps(about, indent=1))


def _kept(file: Path, sources: list[Source], recordings: list[Samples], transcript: str | None) -> Lesson | None:
    if not file.exists():
        return None
    about = json.loads(file.read_text())
    if about["sources"] != [item.sha256 for item in sources] or about["transcript"] != transcript:
        return None
    by_name = {item.name: samples for item, samples in zip(sources, recordings, strict=True)}

    def item(row: dict[str, object]) -> Aligned:
        name, start, end = str(row["name"]), float(str(row["start"])), float(str(row["end"]))
        samples = by_name[name][round(start * SAMPLE_RATE) : round(end * SAMPLE_RATE)]
        clip = Clip(name, start, end, np.ascontiguousarray(samples))
        return Aligned(clip, str(row["text"]), float(str(row["score"])))

    return Lesson(
        sources, [item(row) for row in about["train"]], item(about["heldOut"]), about["leftOut"], about["from"]
    )
