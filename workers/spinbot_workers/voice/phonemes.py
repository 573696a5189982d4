"""From text to the phoneme ids that the voice reads: espeak-ng's en-us IPA."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import Any

from spinbot.errors import BadInput
from spinbot_workers.voice.starter import phoneme_ids

PAD, BEGIN, END = "_", "^", "$"
LONGEST = 400
"""Characters spoken in one breath: memory and time of one call grow with it."""

_SPOKEN = {
    "&": " and ", "%": " percent ", "+": " plus ", "=": " equals ", "@": " at ", "°": " degrees ", "#": " number ",
    "€": " euros ", "£": " pounds ", "/": " slash ", "\\": " backslash ", "*": " ", "_": " ", "~": " ", "^": " ",
    "|": " ", "<": " ", ">": " ", "[": ", ", "]": ", ", "{": ", ", "}": ", ", "(": ", ", ")": ", ", "…": "...",
    "—": ", ", "–": ", ", "“": "", "”": "", '"': "", "«": "", "»": "", "‘": "'", "’": "'", "`": "'",
}  # fmt: skip


@dataclass(frozen=True)
class Sentence:
    """A sentence as the voice reads it: `symbols[i]` has embedding row `ids[i]`; pads ("") in between."""

    text: str
    symbols: tuple[str, ...]
    ids: tuple[int, ...]


def sentences(text: str) -> list[Sentence]:
    """`text` cut into sentences short enough to be spoken in one go.

    Raises:
        BadInput: nothing in the text can be spoken in English (no letter or digit of the Latin alphabet).
    """
    spoken = [found for part in split(speakable(text)) if (found := read(part)) is not None]
    if not spoken:
        shown = text.strip()[:40]
        raise BadInput(
            f"nothing to say in {shown!r}" if shown else "there are no words to say",
            hint="the voices speak English: write words in Latin letters",
        )
    return spoken


def speakable(text: str) -> str:
    """`text` with symbols as words, and without what cannot be spoken (emoji, control characters)."""
    text = unicodedata.normalize("NFKC", text)
    text = re.sub(r"([$€£])(\d[\d,]*)(?:\.(\d\d))?(?!\d)", _money, text).replace("$", " dollars ")
    text = re.sub(r"(?<=\d)\.(?=\d)", " point ", text)
    text = re.sub(r"(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:(st|nd|rd|th)\b)?", _number, text)
    text = "".join(_SPOKEN.get(char, char) for char in text)
    text = "".join(char if _latin(char) else " " for char in text)
    text = re.sub(r"\s+", " ", text)
    return re.sub(r"\s+([,.;:!?])", r"\1", re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", text)).strip(" ,;:")


def _money(found: re.Match[str]) -> str:
    unit = {"$": "dollars", "€": "euros", "£": "pounds"}[found[1]]
    return f"{found[2]} {unit} {found[3]}" if found[3] else f"{found[2]} {unit}"


def _number(found: re.Match[str]) -> str:
    """In words, here and not in espeak-ng, so that the words aligned are the words spoken."""
    from num2words import num2words

    digits = found[1].replace(",", "")
    if len(digits) > 12 or (len(digits) > 1 and digits[0] == "0"):
        return " ".join(str(num2words(int(digit))) for digit in digits)
    year = len(found[1]) == 4 and 1100 <= int(digits) < 2000
    form = "ordinal" if found[2] else "year" if year else "cardinal"
    return " " + str(num2words(int(digits), to=form)).replace(",", "") + " "


def split(text: str) -> list[str]:
    """At ends of sentences; a sentence over LONGEST characters also at commas, else at spaces."""
    parts = [part.strip() for part in re.split(r"(?<=[.!?])\s+", text) if part.strip()]
    return [piece for part in parts for piece in _pieces(part)]


def read(text: str) -> Sentence | None:
    """The phonemes of one sentence; None when espeak-ng finds nothing to say in it."""
    if not any(char.isalnum() for char in text):
        return None
    if text[-1] not in ".!?,;:":
        text += "."
    ids = _ids()
    spoken = _backend().phonemize([text], strip=True)[0]
    symbols = [char for char in unicodedata.normalize("NFD", spoken) if char in ids]
    if not any(char.isalpha() for char in symbols):
        return None
    padded = [BEGIN, ""]
    for symbol in symbols:
        padded += [symbol, ""]
    padded.append(END)
    return Sentence(text, tuple(padded), tuple(ids[symbol or PAD] for symbol in padded))


def _pieces(sentence: str) -> list[str]:
    if len(sentence) <= LONGEST:
        return [sentence]
    head = sentence[:LONGEST]
    cut = max(head.rfind(mark) + 1 for mark in (", ", "; ", ": ")) or head.rfind(" ")
    cut = cut if cut > 0 else LONGEST
    return [sentence[:cut].strip(), *_pieces(sentence[cut:].strip())]


def _latin(char: str) -> bool:
    if char.isascii():
        return char.isprintable()
    return char.isalpha() and "LATIN" in unicodedata.name(char, "")


@cache
def _ids() -> dict[str, int]:
    return phoneme_ids()


@cache
def _backend() -> Any:
    """espeak-ng from its wheel; made once, since each new one loads a copy of the library."""
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    return EspeakBackend(
        "en-us", preserve_punctuation=True, with_stress=True, language_switch="remove-flags", words_mismatch="ignore"
    )
