"""Writes what is written down of the program itself: docs/commands.md, docs/settings.md and docs/openapi.json.

With `--check` it writes nothing, and ends with 1 when one of them is not what the program says now.
"""

from __future__ import annotations

import inspect
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from spinbot.settings import Settings
from spinbot_cli.groups import PANELS, _built
from spinbot_daemon.app import create_app

DOCS = Path(__file__).parent
HEAD = """# Commands

Written by `make docs` from the program itself. `--help` says the same in the terminal. Results go to stdout; bars,
notes and errors to stderr. What `--json` prints is described in [schema/](schema/), an error by its exit code: 0
completed, 1 job failed, 2 usage, 3 not found, 4 not allowed in this state, 5 daemon unreachable, 124 timed out,
130 cancelled or interrupted.
"""


SETTINGS_HEAD = """# Settings

Written by `make docs` from the program itself. Each is a variable of the environment of the daemon, or a line in
`$SPINBOT_HOME/config.toml` (a dot makes a table: `[metrics]`); the variable counts more. An unknown name in the file is
an error. After a change: `spinbot daemon restart`.

| config.toml | variable | default | |
| --- | --- | --- | --- |
"""
DEFAULTS = {"home": "the platform's user data folder", "redis_url": "the embedded valkey"}


def main() -> int:
    made = {"commands.md": commands(), "settings.md": settings(), "openapi.json": openapi()}
    stale = [name for name, text in made.items() if not _is(DOCS / name, text)]
    if "--check" in sys.argv:
        for name in stale:
            print(f"docs/{name} is not what the program says: make docs")
        return 1 if stale else 0
    for name in stale:
        (DOCS / name).write_text(made[name], encoding="utf-8")
    return 0


def _is(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def commands() -> str:
    """Every command with its arguments and options, in the order of `spinbot --help`."""
    parts = [HEAD]
    for panel, names in PANELS.items():
        parts.append(f"\n## {panel}\n")
        for name in names:
            command = _built(name)
            if hasattr(command, "commands"):
                parts += [_page(f"{name} {sub}", each) for sub, each in command.commands.items()]
            else:
                parts.append(_page(name, command))
    return "\n".join(parts).rstrip() + "\n"


def _page(name: str, command: Any) -> str:
    first, _, examples = inspect.cleandoc(command.help or "").partition("\n\n")
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    shown = [_argument(param) for param in arguments]
    usage = " ".join(["spinbot", name, *shown, "[OPTIONS]"])
    lines = [f"### {name}\n", first.replace("\n", " "), f"\n```\n{usage}\n```\n"]
    if rows := [row for param in command.params if (row := _row(param))]:
        lines += ["| | |", "| --- | --- |", *rows, ""]
    if examples := "\n".join(line for line in examples.splitlines() if line.strip()):
        lines.append(f"```sh\n{examples}\n```\n")
    return "\n".join(lines)


def _argument(param: Any) -> str:
    return str(param.metavar or (param.name.upper() if param.required else f"[{param.name.upper()}]"))


def _row(param: Any) -> str:
    if param.name == "help":
        return ""
    is_argument = param.param_type_name == "argument"
    names = _argument(param) if is_argument else ", ".join([*param.opts, *param.secondary_opts])
    said = (getattr(param, "help", None) or "").replace("|", "\\|")
    choices = getattr(getattr(param, "type", None), "choices", None)
    if choices:
        said += f" One of {', '.join(str(getattr(choice, 'value', choice)) for choice in choices)}."
    default = param.default
    if default not in (None, False, (), []) and not callable(default) and not is_argument:
        said += f" Default: {getattr(default, 'value', default)}."
    return f"| `{names}` | {said.strip()} |"


def settings() -> str:
    """Every field of Settings with its default."""
    return SETTINGS_HEAD + "\n".join(_settings(Settings, "")) + "\n"


def _settings(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.default, BaseModel):
            yield from _settings(type(field.default), f"{prefix}{name}.")
            continue
        default = DEFAULTS.get(name) or json.dumps(field.default)
        variable = f"SPINBOT_{prefix}{name}".replace(".", "__").upper()
        yield f"| `{prefix}{name}` | `{variable}` | {default} | {field.description} |"


def openapi() -> str:
    """What the daemon answers at /openapi.json, without its version: that changes with every release."""
    with tempfile.TemporaryDirectory() as home:
        document = create_app(Settings(home=Path(home)), token="-").openapi()
    document["info"].pop("version")
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
