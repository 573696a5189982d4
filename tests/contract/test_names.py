"""A name is fit for a folder, or is refused with the rule."""

import pytest

from spinbot.errors import BadInput
from spinbot.names import NAME_RULE, checked_name, new_job_id


@pytest.mark.parametrize("name", ["ada", "Ada-2", "a.b_c", "7"])
def test_an_ordinary_name_is_taken(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "x" * 300, "a b", "a\n", "ä", "-rf", "a.", "Starter"])
def test_a_name_that_is_no_folder_name_is_refused_with_the_rule(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        checked_name(name)
    assert NAME_RULE in refused.value.hint
    assert len(str(refused.value)) < 100


def test_ids_say_their_kind_and_have_no_letters_that_look_alike() -> None:
    ids = {new_job_id("gen") for _ in range(500)}
    assert len(ids) == 500
    assert all(job_id.startswith("gen-") and not set(job_id[4:]) & set("01ilou") for job_id in ids)
