"""Text as it is spoken, and the words of a recording found, shared out over its clips, and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from spinbot.errors import BadInput, JobFailed
from spinbot_workers.report import Recorder
from spinbot_workers.voice.align import assign
from spinbot_workers.voice.arpabet import pronunciation
from spinbot_workers.voice.audio import read
from spinbot_workers.voice.clips import Clip, split
from spinbot_workers.voice.lesson import prepare
from spinbot_workers.voice.phonemes import LONGEST, sentences, speakable
from spinbot_workers.voice.words import hear, tokens

EXAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"
WRONG = (
    "The committee decided that nobody should ever again be allowed to park bicycles near the western entrance of the "
    "library, because children kept falling over them on their way home from school, and one of the teachers had "
    "broken an ankle there in March, so they ordered a fence and painted it green and yellow and hoped for the best."
)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return split(read(EXAMPLE), name=EXAMPLE.name)


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("It costs $3.50 & 20%", "It costs three dollars fifty and twenty percent"),
        ("on the 3rd of May 1999", "on the third of May nineteen ninety-nine"),
        ("1,234 birds", "one thousand two hundred and thirty-four birds"),
        ("pi is 3.14", "pi is three point fourteen"),
        ("hello 😀 \x07 world…", "hello world..."),
        ("“Café”, she said", "Café, she said"),
    ],
)
def test_symbols_and_numbers_become_words(written: str, spoken: str) -> None:
    assert speakable(written) == spoken


@pytest.mark.parametrize("text", ["", "   ", "你好", "😀😀", "\x00\x01", "...!?"])
def test_what_cannot_be_spoken_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(BadInput, match=r"to say"):
        sentences(text)


def test_a_long_text_is_spoken_in_short_pieces() -> None:
    found = sentences("a word and another one " * 100 + "x" * 1000)
    assert all(len(sentence.text) <= LONGEST + 1 for sentence in found)
    assert " ".join(sentence.text for sentence in found).count("another") == 100


def test_names_that_no_dictionary_has_can_be_aligned() -> None:
    assert pronunciation("kayla") == "K EY L AH"


def test_each_clip_gets_its_own_words(clips: list[Clip]) -> None:
    text = EXAMPLE.with_suffix(".txt").read_text()
    aligned = assign(clips, text, lambda done, of: None)
    assert all(item.fits for item in aligned)
    assert " ".join(item.text for item in aligned) == " ".join(token.shown for token in tokens(text))
    for item in aligned:
        heard = set(hear(item.clip.samples).split())
        said = {token.word for token in tokens(item.text)}
        assert len(heard & said) > len(said) / 2


def test_words_that_are_not_said_do_not_fit(clips: list[Clip]) -> None:
    aligned = assign(clips, WRONG, lambda done, of: None)
    assert sum(item.fits for item in aligned) <= 1, [(item.text, item.score) for item in aligned]


def test_a_wrong_transcript_names_the_clip_and_what_to_pass(tmp_path: Path) -> None:
    with pytest.raises(JobFailed, match=r"sample\.wav from .* does not fit its words") as failed:
        prepare([EXAMPLE], transcript=WRONG, max_minutes=30, file=tmp_path / "lesson.json", report=Recorder())
    assert "--transcript" in failed.value.hint


def test_without_a_transcript_the_words_are_recognised(tmp_path: Path) -> None:
    alone = tmp_path / "alone.wav"
    alone.write_bytes(EXAMPLE.read_bytes())
    recorder = Recorder()
    lesson = prepare([alone], transcript=None, max_minutes=30, file=tmp_path / "lesson.json", report=recorder)
    assert lesson.transcript_from
    assert lesson.transcript_from != "file"
    words = " ".join(item.text for item in [*lesson.train, lesson.held_out])
    assert "lighthouse keeper" in words
    assert {stage for stage, *_ in recorder.steps} == {"read", "split", "words", "align"}


def test_a_recording_without_words_says_so(tmp_path: Path) -> None:
    hum = tmp_path / "hum.wav"
    soundfile.write(hum, 0.3 * np.sin(np.arange(5 * 22_050) / 16), 22_050)
    with pytest.raises(JobFailed, match=r"hum\.wav") as failed:
        prepare([hum], transcript=None, max_minutes=30, file=tmp_path / "lesson.json", report=Recorder())
    assert "--transcript" in failed.value.hint


def test_little_speech_is_learned_whole(tmp_path: Path) -> None:
    short = tmp_path / "short.wav"
    samples = read(EXAMPLE)[: int(5.2 * 22_050)]
    soundfile.write(short, samples, 22_050)
    text = "Every morning the lighthouse keeper climbs two hundred steps to polish the great lamp."
    lesson = prepare([short], transcript=text, max_minutes=30, file=tmp_path / "lesson.json", report=Recorder())
    assert lesson.held_out in lesson.train
    assert not lesson.kept_back


def test_a_resumed_job_decides_the_same(tmp_path: Path) -> None:
    first = prepare([EXAMPLE], transcript=None, max_minutes=30, file=tmp_path / "lesson.json", report=Recorder())
    recorder = Recorder()
    again = prepare([EXAMPLE], transcript=None, max_minutes=30, file=tmp_path / "lesson.json", report=recorder)
    assert recorder.notes == ["the clips and their words are those of the earlier attempt"]
    assert [item.text for item in again.train] == [item.text for item in first.train]
    assert again.held_out.clip.samples.tobytes() == first.held_out.clip.samples.tobytes()
