"""Which command is in which file, and where it stands in `--help`. A file is imported when its command is typed."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

from spinbot.errors import BadInput

PANELS: dict[str, dict[str, str]] = {
    "Make": {"train": "train", "generate": "generate"},
    "Watch": {
        "watch": "watch",
        "wait": "watch",
        "logs": "watch",
        "status": "jobs",
        "jobs": "jobs",
        "top": "top",
        "stats": "stats",
    },
    "Steer": {"cancel": "steer", "retry": "steer", "rerun": "rerun", "pause": "steer", "resume": "steer"},
    "See what is there": {
        "voices": "catalogue",
        "looks": "catalogue",
        "models": "catalogue",
        "inspect": "inspect",
        "token": "catalogue",
    },
    "The machine": {
        "doctor": "doctor",
        "stats": "stats",
        "space": "clean",
        "clean": "clean",
        "daemon": "daemon",
        "worker": "daemon",
    },
}
"""Panel -> command -> its file in `commands/`; a function of the command's name is in there, or `app` for a group."""

FILES = {command: file for commands in PANELS.values() for command, file in commands.items()}


class Commands(TyperGroup):
    """The top of the app: importing all commands would cost as much as running one."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(FILES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in FILES:
            return _built(cmd_name)
        if cmd_name.startswith("-") or ctx.resilient_parsing:
            return None
        near = get_close_matches(cmd_name, FILES, n=2, cutoff=0.5)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise BadInput(f"no command {cmd_name!r}", hint=f"{meant}spinbot --help lists them")

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for panel, commands in PANELS.items():
            rows = [(name, _built(name).get_short_help_str(formatter.width - 14)) for name in commands]
            with formatter.section(panel):
                formatter.write_dl(rows)


def _built(name: str) -> Any:
    module = import_module(f"spinbot_cli.commands.{FILES[name]}")
    if name == "daemon":
        group = typer.main.get_command(module.app)
        group.name = name
        return group
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, context_settings={"help_option_names": ["-h", "--help"]})(getattr(module, name))
    return typer.main.get_command(app)
