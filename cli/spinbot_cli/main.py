"""The `spinbot` command: the app, and the one place where errors become exit codes."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from spinbot import __version__
from spinbot.errors import SpinbotError
from spinbot_cli.groups import Commands
from spinbot_cli.say import complain, out, survive_old_terminals, tell

FIRST = """spinbot turns a voice sample and a prompt into a short talking video, on this machine.

  spinbot train sample.wav --name ada
  spinbot generate --voice ada --prompt 'a red robot says "good morning"'
  spinbot watch gen-7f3k2q

spinbot --help lists all commands."""


CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
"""Typer carries a click of its own: this is that one's ClickException, whose `show` and `exit_code` we want."""

app = typer.Typer(
    cls=Commands,
    no_args_is_help=False,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.", is_eager=True)] = False,
) -> None:
    """Turn a voice sample and a prompt into a short talking video, on your own machine.

    Results go to stdout, bars and errors to stderr. Exit codes: 0 completed, 1 job failed, 2 usage, 3 not found,
    4 not allowed in this state, 5 daemon unreachable, 124 timed out, 130 cancelled or interrupted.
    """
    if version:
        out(f"spinbot {__version__}")
    elif context.invoked_subcommand is None:
        from spinbot_cli.client import Client

        client = Client()
        out(FIRST)
        state = "is running" if client.answers() else "is not running; it starts by itself"
        out(f"\nThe daemon at {client.where} {state}.")


def main() -> None:
    """Run what was typed. An error is said once, here, with its hint, and its class has the exit code."""
    survive_old_terminals()
    try:
        code = app(standalone_mode=False)
    except SpinbotError as error:
        complain(error)
        sys.exit(error.exit_code)
    except CLICK_ERROR as error:
        error.show()  # type: ignore[attr-defined]
        sys.exit(error.exit_code)  # type: ignore[attr-defined]
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            sys.stderr.close()  # whoever read us has gone; Python would complain about the pipe at its end
            sys.exit(0)
        complain(SpinbotError(f"{error.filename or 'this machine'}: {error.strerror or error}"))
        sys.exit(1)
    except (typer.Abort, KeyboardInterrupt):
        tell("interrupted")
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
