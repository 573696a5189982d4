"""spinbot daemon start, stop, status, run, restart and logs"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import time
from typing import Annotated, Any

import typer

from spinbot import __version__
from spinbot.errors import DaemonUnreachable, NotFound
from spinbot_cli.client import START_HINT, Client
from spinbot_cli.options import Json
from spinbot_cli.say import document, duration, out, tell

STOP_WITHIN = 15.0

app = typer.Typer(
    help="The background process.", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.command()
def start(as_json: Json = False) -> None:
    """Start it in the background; nothing happens when it runs."""
    client = Client()
    if not client.answers():
        client.start()
    _show(client, as_json)


@app.command()
def stop(as_json: Json = False) -> None:
    """Stop it. Running jobs write a checkpoint and go on at the next start."""
    client = Client()
    facts = _facts(client)
    runs = bool(facts) and _runs(client)
    if runs:
        _end(client, facts["pid"])
    elif not as_json:
        tell("the daemon is not running")
    if as_json:
        document({"stopped": runs})


def _end(client: Client, pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_WITHIN
    while _runs(client):
        if time.monotonic() > deadline:
            raise DaemonUnreachable(f"the daemon, pid {pid}, does not end", hint=f"kill -9 {pid}")
        time.sleep(0.05)


@app.command()
def restart(as_json: Json = False) -> None:
    """Stop and start it; jobs go on where they were."""
    stop()
    start(as_json)


@app.command()
def status(as_json: Json = False) -> None:
    """Say where it listens and how it is; exit code 5 when it does not run."""
    _show(Client(), as_json)


@app.command()
def run() -> None:
    """Run it in the foreground, as a service manager wants it."""
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


def _show(client: Client, as_json: bool) -> None:
    health = client.ask("GET", "/health")
    facts: dict[str, Any] = {**_facts(client), **health}
    if as_json:
        document(facts)
    else:
        out(
            f"running for {duration(health['uptimeSeconds'])}, version {health['version']}, {health['workers']} workers"
        )
        out(f"url     {facts.get('url', client.url)}\nsocket  {facts.get('socket', '-')}")
        for problem in health.get("problems", []):
            tell(f"problem: {problem}")
    if health["version"] != __version__:
        tell(f"the daemon is version {health['version']}, this is {__version__}: spinbot daemon restart")


def _facts(client: Client) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = json.loads(client.home.daemon_file.read_text())
        return facts
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise DaemonUnreachable(f"{client.home.daemon_file} cannot be read: {error}", hint=START_HINT) from error


def _runs(client: Client) -> bool:
    """Whether a daemon holds the lock of this home. Its pid alone may be another program's by now, or a zombie's."""
    try:
        with client.home.daemon_lock.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
