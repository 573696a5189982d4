"""spinbot daemon start, stop, status, run, restart, logs, install and uninstall"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from spinbot import __version__
from spinbot.errors import BadInput, NotFound
from spinbot_cli.client import Client
from spinbot_cli.commands import service
from spinbot_cli.options import Json
from spinbot_cli.process import end, facts
from spinbot_cli.say import document, duration, out, tell

app = typer.Typer(
    help="The background process.", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


LogFormat = Annotated[str | None, typer.Option("--log-format", help="text for people, json for machines.")]


@app.command()
def start(log_format: LogFormat = None, as_json: Json = False) -> None:
    """Start it in the background; nothing happens when it runs."""
    _set_log_format(log_format)
    client = Client()
    if not client.answers():
        client.start()
    _show(client, as_json)


@app.command()
def stop(as_json: Json = False) -> None:
    """Stop it. Running jobs write a checkpoint and go on at the next start."""
    client = Client()
    ran = end(client)
    if not ran and not as_json:
        tell("the daemon is not running")
    if as_json:
        document({"stopped": ran})


@app.command()
def restart(log_format: LogFormat = None, as_json: Json = False) -> None:
    """Stop and start it; jobs go on where they were."""
    stop()
    start(log_format, as_json)


@app.command()
def status(as_json: Json = False) -> None:
    """Say where it listens and how it is; exit code 5 when it does not run."""
    _show(Client(), as_json)


@app.command()
def run(log_format: LogFormat = None) -> None:
    """Run it in the foreground, as a service manager wants it."""
    _set_log_format(log_format)
    os.execv(sys.executable, [sys.executable, "-m", "spinbot_daemon"])


@app.command()
def logs(
    part: Annotated[str, typer.Argument(help="daemon, gateway, valkey, train or generate.")] = "daemon",
    lines: Annotated[int, typer.Option("--lines", "-n", min=1)] = 40,
) -> None:
    """Print the end of one of its logs."""
    folder = Client().home.logs
    path = folder / f"{part}.log"
    if "/" in part or not path.is_file():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.log"))) or "none yet"
        raise NotFound(f"no log {part!r}", hint=f"there are: {there}")
    out("\n".join(path.read_text(errors="replace").splitlines()[-lines:]))


app.command()(service.install)
app.command()(service.uninstall)


def worker(
    redis: Annotated[
        str | None, typer.Option("--redis", help="The broker of the other machine; default: REDIS_URL.", metavar="URL")
    ] = None,
) -> None:
    """Lend this machine's workers to a daemon elsewhere that uses the same broker. Runs in the foreground.

    spinbot worker --redis rediss://:password@studio:6379/0
    """
    if redis is not None:
        os.environ["REDIS_URL"] = redis
    os.execv(sys.executable, [sys.executable, "-m", "spinbot_daemon", "--workers-only"])


def _set_log_format(log_format: str | None) -> None:
    if log_format is None:
        return
    if log_format not in ("text", "json"):
        raise BadInput(f"--log-format {log_format!r}", hint="text or json")
    os.environ["SPINBOT_LOG_FORMAT"] = log_format


def _show(client: Client, as_json: bool) -> None:
    health = client.ask("GET", "/health")
    known: dict[str, Any] = {**facts(client), **health}
    if as_json:
        document(known)
    else:
        out(
            f"running for {duration(health['uptimeSeconds'])}, version {health['version']}, {health['workers']} workers"
        )
        out(f"url     {known.get('url', client.url)}\nsocket  {known.get('socket', '-')}")
        for problem in health.get("problems", []):
            tell(f"problem: {problem}")
    if health["version"] != __version__:
        tell(f"the daemon is version {health['version']}, this is {__version__}: spinbot daemon restart")
