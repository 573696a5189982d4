"""spinbot jobs and status"""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Annotated, Any

import typer

from spinbot.errors import BadInput
from spinbot_cli import complete
from spinbot_cli.client import Client
from spinbot_cli.options import Json
from spinbot_cli.say import ago, document, duration, out, table
from spinbot_cli.values import seconds


class State(StrEnum):
    queued = "queued"
    active = "active"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


class Kind(StrEnum):
    train = "train"
    generate = "generate"


def status(
    job: Annotated[
        str | None,
        typer.Argument(
            help="Id of a job; without it: the daemon and its queues.", metavar="JOB", autocompletion=complete.any_job
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say where a job stands, or what the daemon is at.

    spinbot status gen-7f3k2q --json
    """
    client = Client().ensure()
    if job is not None:
        found = client.ask("GET", f"/api/jobs/{job}")
        document(found) if as_json else out(_line(found))
        return
    found = client.ask("GET", "/api/queues")
    if as_json:
        document(found)
        return
    for queue in found["queues"]:
        active = ", ".join(queue["active"]) or "idle"
        out(f"{queue['queue']:9} {'paused, ' if queue['paused'] else ''}{active}, {queue['queued']} queued")
    out(f"jobs      {', '.join(f'{count} {state}' for state, count in found['jobs'].items() if count) or 'none yet'}")


def jobs(
    state: Annotated[State | None, typer.Option(help="Only these.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="Only these.")] = None,
    voice: Annotated[str | None, typer.Option(help="Only those that make or use this voice.")] = None,
    since: Annotated[str | None, typer.Option(help="Made within the last 2h or 7d.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 20,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show them until Ctrl-C, as they change.")] = False,
    as_json: Json = False,
) -> None:
    """List jobs, newest first.

    spinbot jobs --state failed --since 7d
    """
    if watch and as_json:
        raise BadInput("--watch and --json", hint="GET /ws without a jobId streams the events of all jobs")
    client = Client().ensure()
    if watch:
        from spinbot_cli.live import keep_showing

        keep_showing(client, lambda: _lines(_found(client, state, kind, voice, since, limit)))
        return
    found = _found(client, state, kind, voice, since, limit)
    if as_json:
        document({"jobs": found})
    else:
        out("\n".join(_lines(found)))


def _found(
    client: Client, state: State | None, kind: Kind | None, voice: str | None, since: str | None, limit: int
) -> list[dict[str, Any]]:
    asked = {"state": state.value if state else None, "kind": kind.value if kind else None}
    narrowed = voice is not None or since is not None
    found: list[dict[str, Any]] = client.ask("GET", "/api/jobs", limit=1000 if narrowed else limit, **asked)["jobs"]
    if since is not None:
        oldest = time.time() - (seconds(since, "--since") or 0)
        found = [job for job in found if job["created"] >= oldest]
    if voice is not None:
        found = [job for job in found if voice in (job.get("voice"), job["name"] if job["what"] == "voice" else None)]
    return found[:limit]


def _lines(found: list[dict[str, Any]]) -> list[str]:
    if not found:
        return ["no jobs"]
    rows = [
        [job["jobId"], job["state"], f"{job['progress']}%", ago(job["created"]), _took(job), job["name"]]
        for job in found
    ]
    return table(["JOB", "STATE", "DONE", "MADE", "TOOK", "WHAT"], rows)


def _line(job: dict[str, Any]) -> str:
    text = f"{job['jobId']} {job['state']} {job['progress']}% {job['message']}"
    return f"{text}\nhint: {job['hint']}" if job.get("hint") else text


def _took(job: dict[str, Any]) -> str:
    return duration(job.get("ended", time.time()) - job["started"]) if "started" in job else "-"
