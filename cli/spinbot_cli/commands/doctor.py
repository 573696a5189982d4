"""spinbot doctor"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import typer

from spinbot import __version__
from spinbot.errors import SpinbotError
from spinbot_cli.client import Client
from spinbot_cli.options import Json
from spinbot_cli.say import document, out, size

NEEDED_FREE = 2e9
"""Bytes on disk: a voice with its checkpoints takes a few hundred MB."""
NEEDED_MEMORY = 4e9
PACKAGES = {"torch": "torch", "diffusers": "diffusers", "coqui-tts": "voices", "peft": "looks", "av": "videos"}
DEVICE = "import torch; print('cuda' if torch.cuda.is_available() else f'cpu, {torch.get_num_threads()} threads')"


class Finding(NamedTuple):
    """`remedy` is empty when all is well."""

    check: str
    said: str
    remedy: str = ""


def doctor(as_json: Json = False) -> None:
    """Look at everything spinbot stands on; exit code 1 when something is broken, with its remedy.

    spinbot doctor --json
    """
    client = Client()
    found: list[Finding] = []
    for part in (_python(), _packages(), _models(client), _machine(client), _daemon(client)):
        for finding in part:
            found.append(finding)
            if not as_json:
                out(f"{'bad' if finding.remedy else 'ok ':4}{finding.check:14}{finding.said}")
                if finding.remedy:
                    out(f"    {'':14}-> {finding.remedy}")
    if as_json:
        document({"ok": not any(finding.remedy for finding in found), "checks": [one._asdict() for one in found]})
    if any(finding.remedy for finding in found):
        raise typer.Exit(1)


def _python() -> Iterator[Finding]:
    said = f"{sys.version.split()[0]}, {sys.executable}"
    yield Finding("python", said, "" if sys.version_info >= (3, 11) else "install Python 3.11 or later")
    yield Finding("spinbot", __version__)


def _packages() -> Iterator[Finding]:
    for package, purpose in PACKAGES.items():
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            yield Finding(package, f"not installed, needed for {purpose}", "pip install 'spinbot[workers]'")
    # In a process of its own: torch takes seconds to load, and one that crashes is a finding too.
    asked = subprocess.run([sys.executable, "-c", DEVICE], capture_output=True, text=True, check=False)
    why = (asked.stderr.strip().splitlines() or ["no answer"])[-1]
    yield Finding(
        "device", asked.stdout.strip() or why, "" if asked.returncode == 0 else "pip install 'spinbot[workers]'"
    )


def _models(client: Client) -> Iterator[Finding]:
    """The starter models that everything falls back on, and what else is here."""
    found = find_spec("spinbot_workers")
    folder = (
        Path(found.submodule_search_locations[0]) / "starter" if found and found.submodule_search_locations else None
    )
    for name in ("voice", "look"):
        weights = sorted((folder / name).rglob("*.safetensors")) if folder else []
        said = f"{size(sum(path.stat().st_size for path in weights))} of weights" if weights else "no weights"
        yield Finding(f"starter {name}", said, "" if weights else "install spinbot again: they come with it")
    for folder in (client.home.voices, client.home.looks, client.home.models):
        count = sum(not path.name.startswith(".") for path in folder.iterdir()) if folder.is_dir() else 0
        readable = not folder.exists() or os.access(folder, os.R_OK | os.W_OK | os.X_OK)
        yield Finding(
            folder.name, str(count), "" if readable else f"it cannot be read or written: chmod u+rwx {folder}"
        )


def _machine(client: Client) -> Iterator[Finding]:
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield Finding("memory", size(memory), "" if memory >= NEEDED_MEMORY else f"{size(NEEDED_MEMORY)} are needed")
    root = client.home.root
    there = next(folder for folder in (root, *root.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    remedy = "" if free >= NEEDED_FREE else f"{size(NEEDED_FREE)} are needed: delete old folders in {client.home.jobs}"
    yield Finding("disk", f"{size(free)} free for {root}", remedy)
    writable = os.access(there, os.W_OK | os.X_OK)
    yield Finding("home", str(root), "" if writable else f"it cannot be written: chown -R {os.getuid()} {there}")
    if client.home.token_file.exists() and client.home.token_file.stat().st_mode & 0o077:
        yield Finding("token", "others can read it", f"chmod 600 {client.home.token_file}; spinbot daemon restart")


def _daemon(client: Client) -> Iterator[Finding]:
    try:
        health = client.ask("GET", "/health")
    except SpinbotError as error:
        # At home it starts by itself; one that was named in SPINBOT_URL must be there.
        yield Finding("daemon", str(error), "is SPINBOT_URL right?" if client.is_remote else "")
        return
    same = health["version"] == __version__
    yield Finding("daemon", f"{health['version']} at {client.where}", "" if same else "spinbot daemon restart")
    if not client.is_remote:
        yield _port(client)
    up = health["broker"] == "up"
    yield Finding("broker", health["broker"], "" if up else "spinbot daemon logs valkey says why")
    remedy = "" if health["workers"] else "spinbot daemon logs train, and generate, say why"
    yield Finding("workers", str(health["workers"]), remedy)
    for problem in health.get("problems", []):
        yield Finding("problem", problem, "see spinbot daemon logs")


def _port(client: Client) -> Finding:
    """Whether other programs reach the daemon over TCP, as `daemon.json` says they can."""
    url = "-"
    try:
        url = str(json.loads(client.home.daemon_file.read_text())["url"])
        parts = urlsplit(url)
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=2).close()
    except (OSError, ValueError, KeyError) as error:
        return Finding("port", f"{url}: {error}", "spinbot daemon restart; SPINBOT_PORT names another port")
    return Finding("port", url)
