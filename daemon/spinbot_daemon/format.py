"""Which form the data under a home has, so that an older program never misreads what a newer one wrote."""

from __future__ import annotations

from spinbot.errors import SpinbotError
from spinbot.files import write_atomic
from spinbot.home import Home

FORMAT = 1
"""Raised with every change of records, events or folders that the version before cannot read."""


def check_format(home: Home) -> None:
    """Note the form in a new home, and refuse one of a newer form before anything in it is touched.

    Raises:
        SpinbotError: newer, or not a number.
    """
    try:
        said = home.format_file.read_text().strip()
    except FileNotFoundError:
        write_atomic(home.format_file, f"{FORMAT}\n")
        return
    if not said.isdigit():
        raise SpinbotError(f"{home.format_file} says {said[:40]!r}, not a number", hint="was it written by spinbot?")
    if int(said) > FORMAT:
        raise SpinbotError(
            f"{home.root} was written by a newer spinbot (form {said}; this one reads up to {FORMAT})",
            hint="install the newer version again, or choose another SPINBOT_HOME; nothing was changed",
        )
