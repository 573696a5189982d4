"""spinbot watch, wait and logs"""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from spinbot.errors import JobCancelled
from spinbot_cli import complete
from spinbot_cli.client import Client
from spinbot_cli.on_done import OnDone, checked
from spinbot_cli.options import Json, NoPreview, OnDoneText, Timeout
from spinbot_cli.say import document, out
from spinbot_cli.values import seconds
from spinbot_cli.watching import check, check_all, watch_all

Jobs = Annotated[list[str], typer.Argument(help="Ids of jobs.", metavar="JOB...", autocompletion=complete.any_job)]


def watch(
    jobs: Jobs,
    no_preview: NoPreview = False,
    on_done: OnDoneText = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Show jobs from their beginning to their end; the exit code is that of the worst.

    spinbot watch gen-7f3k2q

    spinbot watch train-4mwx8c gen-7f3k2q --json
    """
    client = Client().ensure()
    told = checked(client, on_done)
    for job_id in jobs:
        client.ask("GET", f"/api/status/{job_id}")  # an unknown one is said at once
    ended = watch_all(client, jobs, as_json=as_json, timeout=seconds(timeout), preview=not no_preview, on_done=told)
    check_all(ended)
    for job_id in [] if as_json else jobs:
        result = ended[job_id]["result"]
        out(f"{job_id} {result.get('path', '')}")


def wait(
    jobs: Jobs,
    any_of_them: Annotated[bool, typer.Option("--any", help="End when the first is over.")] = False,
    all_of_them: Annotated[bool, typer.Option("--all", help="End when all are over (the default).")] = False,
    on_done: OnDoneText = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Wait for jobs without showing them; the exit code is that of the worst.

    spinbot wait "$id" && spinbot generate --voice ada --prompt hello
    """
    client = Client().ensure()
    told = checked(client, on_done)
    for job_id in jobs:
        client.ask("GET", f"/api/status/{job_id}")
    ended = _first(client, jobs, seconds(timeout), told) if any_of_them and not all_of_them else None
    ended = ended or watch_all(client, jobs, quiet=True, timeout=seconds(timeout), on_done=told)
    if as_json:
        document([client.ask("GET", f"/api/jobs/{job_id}") for job_id in ended])
    check_all(ended)


def _first(client: Client, jobs: list[str], timeout: float | None, on_done: OnDone | None) -> dict[str, Any]:
    from spinbot_cli.follow import OVER, follow

    try:
        for event in follow(client, jobs, timeout=timeout):
            if event["type"] == "state" and event["state"] in OVER:
                if on_done is not None:
                    on_done(event)
                    on_done.finish()
                check(event)
                return {event["jobId"]: event}
    except KeyboardInterrupt:
        raise JobCancelled("stopped waiting; the jobs go on", hint=f"spinbot watch {' '.join(jobs)}") from None
    raise AssertionError("jobs are over when their events end")


def logs(
    job: Annotated[str, typer.Argument(help="Id of a job.", metavar="JOB", autocompletion=complete.any_job)],
    follow_it: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job is over.")] = False,
) -> None:
    """Print what a job logged and printed, tracebacks included.

    spinbot logs train-4mwx8c -f
    """
    client = Client().ensure()
    offset = _print_from(client, job, 0)
    if not follow_it:
        return
    from spinbot_cli.follow import follow

    try:
        for _ in follow(client, [job]):
            offset = _print_from(client, job, offset)
    except KeyboardInterrupt:
        raise JobCancelled("stopped following; the job goes on", hint=f"spinbot cancel {job}") from None
    _print_from(client, job, offset)


def _print_from(client: Client, job: str, offset: int) -> int:
    data = client.raw("GET", f"/api/jobs/{job}/logs", None, {}, offset=offset)
    sys.stdout.buffer.write(data)  # as it is: an offset may lie inside a letter
    sys.stdout.flush()
    return offset + len(data)
