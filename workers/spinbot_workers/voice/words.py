"""What is said in a recording: the transcript given, a .txt beside the file, or speech recognition."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from spinbot.errors import BadInput
from spinbot_workers.voice.audio import SAMPLE_RATE, Samples, resample
from spinbot_workers.voice.clips import Clip
from spinbot_workers.voice.phonemes import speakable

RATE = 16_000
WHISPERS = ("small.en", "base.en", "tiny.en", "small", "base", "tiny", "large-v3-turbo", "medium", "large-v3")
"""Models of openai/whisper- in the order in which they are taken, when already on the machine."""


@dataclass(frozen=True)
class Token:
    """A word as it stands in the text, and as it is looked up: `Harbour,` and `harbour`."""

    shown: str
    word: str


def beside(recording: Path) -> str | None:
    """The text of the .txt with the recording's name, if there is one. Raises BadInput when it cannot be read."""
    path = recording.with_suffix(".txt")
    if path == recording or not path.exists():
        return None
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} is not a text in UTF-8: {error}") from error
    if not text:
        raise BadInput(f"{path} is empty", hint="write down what is said, or delete the file: it is recognised then")
    return text


def tokens(text: str) -> list[Token]:
    """Words with their punctuation; numbers written out."""
    text = re.sub(r"(?<=\w)-(?=\w)", " ", speakable(text))
    found: list[Token] = []
    for shown in text.split():
        if word := re.sub(r"[^a-z']", "", shown.lower()).strip("'"):
            found.append(Token(shown, word))
        elif found and shown.strip("-"):
            found[-1] = Token(found[-1].shown + shown, found[-1].word)
    return found


def recogniser() -> tuple[str, Callable[[Clip], str]]:
    """The name of the best speech recognition on this machine, and what it hears in a clip."""
    if (model := _whisper_here()) is not None:
        return f"openai/whisper-{model}", lambda clip: _whisper(model, clip)
    return "pocketsphinx", lambda clip: hear(clip.samples)


def hear(samples: Samples) -> str:
    """Lower-case words that pocketsphinx hears in (n,) mono float32 at SAMPLE_RATE; "" for none."""
    decoder = _listener()
    decoder.start_utt()
    decoder.process_raw(pcm(samples), full_utt=True)
    decoder.end_utt()
    heard = decoder.hyp()
    return re.sub(r"\(\d+\)", "", heard.hypstr) if heard else ""


def pcm(samples: Samples) -> bytes:
    """16 kHz, 16 bit, at 0.9 of full scale, as pocketsphinx wants it."""
    wave = resample(samples, SAMPLE_RATE, RATE)
    scale = 0.9 * 32767 / max(float(np.abs(wave).max(initial=0.0)), 1e-4)
    return (wave * scale).astype("<i2").tobytes()


@cache
def _listener() -> Any:
    from pocketsphinx import Decoder

    return Decoder(samprate=RATE, loglevel="FATAL")


def _whisper_here() -> str | None:
    from huggingface_hub import try_to_load_from_cache

    def there(name: str) -> bool:
        files = ("config.json", "model.safetensors")
        return all(isinstance(try_to_load_from_cache(f"openai/whisper-{name}", file), str) for file in files)

    return next((name for name in WHISPERS if there(name)), None)


def _whisper(model: str, clip: Clip) -> str:
    wave = resample(clip.samples, SAMPLE_RATE, RATE)
    return str(_pipeline(model)({"raw": wave, "sampling_rate": RATE})["text"]).strip()


@cache
def _pipeline(model: str) -> Any:
    from transformers import pipeline

    return pipeline("automatic-speech-recognition", f"openai/whisper-{model}", local_files_only=True)
