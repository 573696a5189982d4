"""Names people give, and ids spinbot gives."""

from __future__ import annotations

import re
import secrets

from spinbot.errors import BadInput

NAME_RULE = "1 to 64 of the letters a-z, A-Z, digits, '-', '_' and '.', starting with a letter or digit"
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
"""A model on the hub: org/name."""
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
JOB_ID_PATTERN = r"^(train|gen)-[0-9a-z]{6,12}$"
RESERVED = frozenset({"starter", "none", "all"})

_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no 0/o, 1/i/l: ids are read aloud and typed


def checked_name(name: str) -> str:
    """`name`, fit for a folder. Raises BadInput with the rule."""
    if not re.fullmatch(NAME_PATTERN, name) or name.endswith(".") or name.lower() in RESERVED:
        shown = name if len(name) <= 40 else name[:40] + "…"
        reserved = f"; {', '.join(sorted(RESERVED))} are taken" if name.lower() in RESERVED else ""
        raise BadInput(f"name {shown!r} cannot be used", hint=f"a name is {NAME_RULE}{reserved}")
    return name


def new_job_id(prefix: str) -> str:
    """`train-7f3k2q` or `gen-7f3k2q`: 30**6 ids; the store refuses one that is taken."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(6))
