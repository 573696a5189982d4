"""Sentences for the teacher to speak: made from the words of a pronouncing dictionary and a few frames.

What a sentence means does not matter here; that every sound of English comes in many neighbourhoods, in
statements, questions and lists, does.
"""

from __future__ import annotations

import random
from pathlib import Path

FRAMES = (
    "The {} {} is on the {}.",
    "Do you know where the {} and the {} are?",
    "She said that {} was never a {}, and he laughed.",
    "I would like {number} {}, please.",
    "{} {} {} {}.",
    "When the {} was over, they went {} with a {}.",
    "What a {} {}!",
    "At {number} o'clock we {} the {}; after that, nothing.",
    "Why did the {} {} the {}, and who paid {number} dollars for it?",
    "He has {number} {}, {number} {} and a {}.",
    "No, {}. Yes, {}.",
    "It is {}, it is {}, and above all it is {}.",
    "Please {} the {} before you {} it.",
    "{}, {}, {}, {} and {}.",
    "They were {}, but we had only one {} left.",
    "This {} will make you {}.",
)


def dictionary_words() -> list[str]:
    """The words of three to eleven plain letters in the pronouncing dictionary that pocketsphinx carries."""
    import pocketsphinx

    lines = (Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict").read_text().splitlines()
    words = (line.split(" ", 1)[0] for line in lines)
    return sorted({word for word in words if word.isascii() and word.isalpha() and 3 <= len(word) <= 11})


def sentences(count: int, *, seed: int) -> list[str]:
    """`count` sentences, the same for the same seed."""
    dice = random.Random(seed)
    words = dictionary_words()
    made = []
    for _ in range(count):
        frame = dice.choice(FRAMES)
        while "{number}" in frame:
            frame = frame.replace("{number}", str(dice.choice((dice.randint(2, 20), dice.randint(21, 4000)))), 1)
        text = frame.format(*(dice.choice(words) for _ in range(frame.count("{}"))))
        made.append(text[0].upper() + text[1:])
    return made
