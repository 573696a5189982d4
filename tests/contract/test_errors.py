"""The table at the top of errors.py is what scripts branch on: it must be what the classes say."""

import re

import pytest

from spinbot import errors
from spinbot.errors import JobNotFound, SpinbotError

ROW = re.compile(r"(\w+)\s+(\d+)\s+(\d+)$")


def test_the_table_is_what_the_classes_say() -> None:
    table = {
        found[1]: (int(found[2]), int(found[3]))
        for line in (errors.__doc__ or "").splitlines()
        if (found := ROW.search(line))
    }
    classes = {
        name: (kind.exit_code, kind.http_status)
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, SpinbotError) and kind is not SpinbotError
    }
    assert table == classes


def test_an_error_names_the_input_and_the_remedy() -> None:
    with pytest.raises(SpinbotError, match="gen-nope") as raised:
        raise JobNotFound("gen-nope")
    assert "spinbot jobs" in raised.value.hint
