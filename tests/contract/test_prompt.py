"""What is said and what is drawn, out of one prompt."""

import re

import pytest

from spinbot.errors import BadInput
from spinbot.prompt import MAX_PROMPT, read_prompt


@pytest.mark.parametrize(
    ("prompt", "say", "scene"),
    [
        ('a red robot says "good morning, the kettle is on"', "good morning, the kettle is on", "a red robot"),
        ("a blue robot says 'it's fine'", "it's fine", "a blue robot"),
        ("don't worry, it's ok", "don't worry, it's ok", "don't worry, it's ok"),
        ("“Hi” and “bye”", "Hi bye", "and"),
        ("hello there", "hello there", "hello there"),
    ],
)
def test_words_in_quotes_are_said_and_the_rest_is_drawn(prompt: str, say: str, scene: str) -> None:
    script = read_prompt(prompt)
    assert (script.say, script.scene) == (say, scene)


def test_say_leaves_the_whole_prompt_to_the_scene() -> None:
    script = read_prompt("a green robot", say="hello")
    assert (script.say, script.scene) == ("hello", "a green robot")


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("x" * (MAX_PROMPT + 1), "2,001 characters"),
        ("a\x00b", "U+0000"),
        ("🎉🎉", "nothing to say"),
        ("你好", "Cjk script"),
        ('a robot says "..."', "nothing to say"),
    ],
)
def test_what_cannot_be_spoken_is_refused_with_the_reason(prompt: str, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)) as refused:
        read_prompt(prompt)
    assert refused.value.hint
