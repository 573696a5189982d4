"""What a starter robot can be: the attributes, the words for them, and chance.

One word (or fixed phrase) per design, plus synonyms. A caption says only what is true of the drawing;
what it leaves out may be anything.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

COLORS = {
    "red": ["red", "crimson", "scarlet"],
    "orange": ["orange"],
    "yellow": ["yellow", "golden"],
    "green": ["green"],
    "teal": ["teal", "turquoise", "cyan"],
    "blue": ["blue"],
    "purple": ["purple", "violet"],
    "pink": ["pink", "rosy"],
    "white": ["white"],
    "gray": ["gray", "grey", "silver"],
    "brown": ["brown"],
    "black": ["black", "dark"],
}
BACKDROPS = {
    "white": ["on white", "on a white background"],
    "blue": ["on blue", "on a blue background"],
    "green": ["on green", "on a green background"],
    "pink": ["on pink", "on a pink background"],
    "yellow": ["on yellow", "on a yellow background"],
    "purple": ["on purple", "on a purple background"],
    "orange": ["on orange", "on an orange background"],
    "gray": ["on gray", "on a grey background"],
    "kitchen": ["in the kitchen", "in a kitchen"],
    "garden": ["in the garden", "in a garden", "in a meadow"],
    "beach": ["at the beach", "on the beach", "at the sea"],
    "city": ["in the city", "in a town", "in the city at night"],
    "space": ["in space", "in the sky among the stars", "on the moon"],
    "snow": ["in the snow", "in winter", "in the mountains"],
}
HEADS = {
    "round": ["a round head", "a round face", "a ball head"],
    "square": ["a square head", "a square face", "a box head"],
    "hexagon": ["a hexagon head", "a hexagonal head"],
    "egg": ["an egg head", "an oval head", "an oval face"],
    "bucket": ["a bucket head", "a bucket face"],
    "cat": ["a cat head", "cat ears"],
}
EYES = {
    "round": ["round eyes", "big eyes", "big round eyes"],
    "square": ["square eyes", "pixel eyes"],
    "visor": ["a visor", "visor eyes"],
    "goggles": ["goggles", "goggle eyes", "glasses"],
    "sleepy": ["sleepy eyes", "tired eyes"],
    "heart": ["heart eyes", "loving eyes"],
    "single": ["one eye", "a single eye", "one big eye"],
}
TOPS = {
    "none": ["nothing on top"],
    "antenna": ["an antenna", "one antenna"],
    "antennas": ["two antennas", "antennas"],
    "bulb": ["a light bulb", "a bulb", "a lamp"],
    "propeller": ["a propeller"],
    "crown": ["a crown"],
    "bow": ["a bow", "a ribbon"],
    "sprout": ["a sprout", "a leaf", "a plant"],
}
SIDES = {"none": ["no ears"], "bolts": ["bolts", "ears"], "headphones": ["headphones", "a headset"]}
WEARS = {
    "none": ["nothing else"],
    "tie": ["a bow tie", "a bowtie"],
    "scarf": ["a scarf"],
    "badge": ["a heart badge", "a heart"],
}
SKINS = {"plain": ["plain"], "stripes": ["stripes", "striped"], "spots": ["spots", "spotted", "dots"]}
MOUTHS = {
    "closed": ["closed mouth"],
    "small": ["small mouth"],
    "round": ["round mouth"],
    "open": ["open mouth"],
    "wide": ["wide mouth"],
    "teeth": ["teeth mouth"],
    "smile": ["smile mouth"],
}
LIDS = {"open": ["open eyes"], "shut": ["closed eyes", "eyes closed"]}

WORDS: dict[str, dict[str, list[str]]] = {
    "color": COLORS,
    "backdrop": BACKDROPS,
    "head": HEADS,
    "eyes": EYES,
    "top": TOPS,
    "sides": SIDES,
    "wears": WEARS,
    "skin": SKINS,
    "lids": LIDS,
    "mouth": MOUTHS,
}
FILLERS = [
    *("friendly", "cute", "happy", "little", "small", "big", "nice", "kind", "lovely", "sweet", "brave", "funny"),
    *("clever", "tiny", "cheerful", "shiny", "new", "old", "sad", "proud", "gentle", "smart", "cool", "silly"),
    *("metal", "toy", "tall", "strong", "fluffy", "famous", "calm", "bright", "beautiful"),
]
NOUNS = ["robot"] * 8 + ["android", "bot", "machine", "droid", "character", "person", "face"]
OPENERS = ["", "", "", "", "a picture of ", "a portrait of ", "a drawing of ", "an illustration of "]
TAILS = [
    "",
    "",
    "",
    "",
    "",
    "flat vector art",
    "high quality",
    "portrait",
    "looking at the camera",
    "saying hello",
]


@dataclass(frozen=True)
class Robot:
    """One drawing, fully described: a key of the table of each attribute."""

    color: str
    backdrop: str
    head: str
    eyes: str
    top: str
    sides: str
    wears: str
    skin: str
    lids: str
    mouth: str


def draw_lots(rng: random.Random) -> Robot:
    """A random robot. Robots that would vanish into their background are not made."""
    while True:
        pick = {name: rng.choice(list(table)) for name, table in WORDS.items()}
        pick["lids"] = "shut" if rng.random() < 0.15 else "open"
        pick["skin"] = rng.choices(list(SKINS), [3, 1, 1])[0]
        if pick["color"] == "white" and pick["backdrop"] in ("white", "snow"):
            continue
        if pick["color"] == pick["backdrop"] and rng.random() < 0.7:
            continue
        return Robot(**pick)


def caption(robot: Robot, rng: random.Random, *, full: bool = False) -> str:
    """Words for `robot`: exact, often incomplete, the mouth last.

    Args:
        full: name every attribute that a caption can hold, in plain order and without noise.

    Noise (fillers, random words) teaches the text encoder to skip what it does not know.
    """

    def say(name: str, chance: float) -> str:
        key = getattr(robot, name)
        common = key in ("none", "plain") or (name == "lids" and key == "open")
        if not full and rng.random() > (chance * 0.3 if common else chance):
            return ""
        if full and common:
            return ""
        return rng.choice(WORDS[name][key])

    skin = say("skin", 0.85)
    parts = [say("head", 0.7), say("eyes", 0.8), say("top", 0.75), say("sides", 0.6), say("wears", 0.7)]
    adjectives = [say("color", 0.92)]
    if skin in ("striped", "spotted", "plain"):
        adjectives.append(skin)
    else:
        parts.append(skin)
    parts.append(say("lids", 0.95))
    parts = [part for part in parts if part]
    if not full:
        rng.shuffle(parts)
        while rng.random() < 0.35:
            adjectives.append(rng.choice(FILLERS))
        rng.shuffle(adjectives)
        if rng.random() < 0.15:
            adjectives.append(junk(rng))
    adjectives = [word for word in adjectives if word]
    noun = "robot" if full else rng.choice(NOUNS) if rng.random() > 0.05 else junk(rng)
    article = "" if not full and rng.random() < 0.2 else rng.choice(["a ", "a ", "the ", "one "])
    text = ("" if full else rng.choice(OPENERS)) + article + " ".join([*adjectives, noun])
    if parts:
        text += rng.choice([" with ", " with ", ", ", " and "]) + rng.choice([", ", " and "]).join(parts)
    where = say("backdrop", 0.85)
    if where:
        text += rng.choice([" ", ", "]) + where
    if not full:
        tail = rng.choice(TAILS)
        if rng.random() < 0.15:
            tail = " ".join(junk(rng) for _ in range(rng.randint(1, 3)))
        if tail:
            text += ", " + tail
        if rng.random() < 0.05:
            text = ""
    mouth = say("mouth", 0.9)
    return ", ".join(piece for piece in (text, mouth) if piece)


def junk(rng: random.Random) -> str:
    """A word no one knows, pronounceable more or less."""
    return "".join(rng.choice("bcdfghklmnprstvz") + rng.choice("aeiouy") for _ in range(rng.randint(1, 4))) + (
        rng.choice(["", "n", "s", "r", "ng", "t"])
    )
