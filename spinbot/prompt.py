"""From one prompt: the words to say and the scene to draw."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from spinbot.errors import BadInput

MAX_PROMPT = 2_000
"""Characters. A minute and a half of speech; a talking video is short."""

_QUOTED = re.compile(r'"([^"]*)"|“([^”]*)”|«([^»]*)»|„([^“”]*)[“”]|(?<!\w)\'((?:[^\']|(?<=\w)\'(?=\w))*)\'(?!\w)')
_VERB = re.compile(r"[\s,:]*\b(?:says?|saying|speaks?|that says|who says|tells? us)?[\s,:]*$", re.IGNORECASE)


@dataclass(frozen=True)
class Script:
    """What a prompt asks for: `say` is spoken, `scene` is drawn."""

    say: str
    scene: str


def read_prompt(prompt: str, say: str | None = None) -> Script:
    """Words in quotes are said and the rest is the scene; without quotes the prompt is both.

    Raises:
        BadInput: empty, longer than MAX_PROMPT, control characters, or nothing in it can be spoken.
    """
    prompt = checked_text(prompt, "prompt", empty_ok=say is not None)
    if say is not None:
        return Script(spoken(checked_text(say, "--say")), _without_quotes(prompt) or prompt)
    quotes = [next(g for g in m.groups() if g is not None) for m in _QUOTED.finditer(prompt)]
    words = " ".join(q.strip() for q in quotes if q.strip())
    if not words:
        return Script(spoken(prompt), prompt)
    return Script(spoken(words), _without_quotes(prompt))


def checked_text(text: str, what: str, *, empty_ok: bool = False) -> str:
    """`text` in NFC without outer white space. Raises BadInput."""
    if len(text) > MAX_PROMPT:
        raise BadInput(
            f"the {what} has {len(text):,} characters",
            hint=f"at most {MAX_PROMPT:,}: split it into several videos",
        )
    for position, character in enumerate(text):
        if unicodedata.category(character) in {"Cc", "Cs", "Co", "Cn"} and character not in "\n\t\r":
            raise BadInput(
                f"the {what} has the control character U+{ord(character):04X} at {position}", hint="remove it"
            )
    text = " ".join(unicodedata.normalize("NFC", text).split())
    if not text and not empty_ok:
        raise BadInput(f"the {what} is empty", hint="""try: spinbot generate --prompt 'a red robot says "hello"'""")
    return text


def spoken(text: str) -> str:
    """`text` when the starter's English can say it. Raises BadInput when it has no word, or another script."""
    letters = [c for c in text if c.isalpha()]
    foreign = next((c for c in letters if not unicodedata.name(c, "").startswith("LATIN")), None)
    if foreign is not None:
        script = unicodedata.name(foreign, "an unknown script").split()[0].title()
        raise BadInput(
            f"{foreign!r} is {script} script: the voices here speak English",
            hint="write the words in Latin letters, or pass them with --say",
        )
    if not any(c.isalnum() for c in text):
        raise BadInput(
            f"there is nothing to say in {text[:40]!r}",
            hint="put words in quotes in the prompt, or pass --say",
        )
    return text


def _without_quotes(prompt: str) -> str:
    parts: list[str] = []
    end = 0
    for match in _QUOTED.finditer(prompt):
        parts.append(_VERB.sub("", prompt[end : match.start()]))
        end = match.end()
    parts.append(prompt[end:])
    return " ".join(" ".join(parts).split()).strip(" ,.;:")
