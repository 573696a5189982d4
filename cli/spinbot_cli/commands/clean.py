"""spinbot clean and space"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from spinbot_cli.client import Client
from spinbot_cli.options import Json
from spinbot_cli.say import ago, document, out, size, table
from spinbot_cli.values import seconds


def clean(
    older_than: Annotated[str, typer.Option("--older-than", help="Ended longer ago than 12h or 30d.")] = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove jobs that ended, with their logs and results. Voices and looks stay.

    spinbot clean --older-than 7d --dry-run
    """
    client = Client().ensure()
    asked = {"olderThan": seconds(older_than, "--older-than")}
    going = client.ask("POST", "/api/clean", **asked, dryRun="true")
    if not dry_run:
        if going["jobs"] and not yes and not as_json and sys.stdin.isatty():
            typer.confirm(f"Remove {_count(going)} with their results?", abort=True, err=True)
        going = client.ask("POST", "/api/clean", **asked, dryRun="false")
    if as_json:
        document(going)
        return
    if dry_run and going["jobs"]:
        rows = [[job["jobId"], job["state"], ago(job["ended"]), size(job["bytes"])] for job in going["jobs"]]
        out("\n".join(table(["JOB", "STATE", "ENDED", "SIZE"], rows)))
    out(f"{'would remove' if dry_run else 'removed'} {_count(going)}")


def space(as_json: Json = False) -> None:
    """Say how much room jobs, voices, looks and models take.

    spinbot space --json
    """
    found = Client().ensure().ask("GET", "/api/space")
    if as_json:
        document(found)
        return
    rows = [[name, str(part["count"]), size(part["bytes"])] for name, part in found["parts"].items()]
    out("\n".join(table(["WHAT", "COUNT", "SIZE"], [*rows, ["free", "", size(found["free"])]])))


def _count(going: dict[str, Any]) -> str:
    count = len(going["jobs"])
    return f"{count} job{'' if count == 1 else 's'}, {size(going['bytes'])}"
