"""spinbot cancel, retry, pause and resume"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from spinbot.errors import BadInput, SpinbotError
from spinbot_cli import complete
from spinbot_cli.client import Client
from spinbot_cli.commands.jobs import Kind, State
from spinbot_cli.options import Json
from spinbot_cli.say import complain, document, out

Queue = Annotated[Kind | None, typer.Argument(help="train or generate; both when left out.")]


def cancel(
    jobs: Annotated[
        list[str] | None, typer.Argument(help="Ids of jobs.", metavar="[JOB...]", autocompletion=complete.job_under_way)
    ] = None,
    all_of_them: Annotated[bool, typer.Option("--all", help="Every job that is not over.")] = False,
    state: Annotated[State | None, typer.Option(help="Every job in this state: queued or active.")] = None,
    as_json: Json = False,
) -> None:
    """Cancel jobs: a queued one at once, a running one at its next step.

    spinbot cancel gen-7f3k2q

    spinbot cancel --state queued
    """
    if bool(jobs) + all_of_them + (state is not None) != 1:
        raise BadInput("which jobs?", hint="name them, or pass --all or --state queued")
    client = Client().ensure()
    ids = list(jobs or _under_way(client, [state.value] if state else ["queued", "active"]))
    done: list[Any] = []
    worst: SpinbotError | None = None
    for job_id in ids:
        try:
            done.append(client.ask("DELETE", f"/api/jobs/{job_id}"))
        except SpinbotError as error:
            if len(ids) == 1:
                raise
            complain(error)
            worst = error
            continue
        if not as_json:
            out(f"{job_id} {'cancelled' if done[-1]['state'] == 'cancelled' else 'is asked to stop'}")
    if as_json:
        document(done)
    if worst is not None:
        raise typer.Exit(worst.exit_code)


def _under_way(client: Client, states: list[str]) -> list[str]:
    return [job["jobId"] for state in states for job in client.ask("GET", "/api/jobs", state=state, limit=1000)["jobs"]]


def retry(
    job: Annotated[
        str,
        typer.Argument(
            help="Id of a job that failed or was cancelled.", metavar="JOB", autocompletion=complete.failed_job
        ),
    ],
    fresh: Annotated[bool, typer.Option("--fresh", help="From the start, not from its checkpoint.")] = False,
    as_json: Json = False,
) -> None:
    """Try a job again; prints the id of the new one.

    spinbot watch "$(spinbot retry train-4mwx8c)"
    """
    answer = Client().ensure().ask("POST", f"/api/jobs/{job}/retry", fresh=str(fresh).lower())
    document(answer) if as_json else out(answer["jobId"])


def pause(
    queue: Queue = None,
    now: Annotated[bool, typer.Option("--now", help="Park a running job at its checkpoint.")] = False,
    as_json: Json = False,
) -> None:
    """Let no new job start; a running one finishes, unless --now.

    spinbot pause train --now
    """
    _tell(_lanes("pause", queue, now=str(now).lower()), as_json)


def resume(queue: Queue = None, as_json: Json = False) -> None:
    """Let jobs start again.

    spinbot resume train
    """
    _tell(_lanes("resume", queue), as_json)


def _lanes(verb: str, queue: Kind | None, **query: object) -> list[Any]:
    client = Client().ensure()
    lanes = [queue] if queue else list(Kind)
    return [client.ask("POST", f"/api/queues/{lane.value}/{verb}", **query) for lane in lanes]


def _tell(answers: list[Any], as_json: bool) -> None:
    if as_json:
        document(answers)
        return
    for answer in answers:
        parked = f", parked {', '.join(answer['parked'])}" if answer.get("parked") else ""
        out(f"{answer['queue']} {'is paused' if answer['paused'] else 'goes on'}{parked}")
