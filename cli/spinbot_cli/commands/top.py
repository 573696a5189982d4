"""spinbot top"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spinbot.errors import DaemonUnreachable, JobCancelled, SpinbotError
from spinbot_cli.client import Client
from spinbot_cli.options import Json
from spinbot_cli.say import ago, document, duration, size, speaks_unicode

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

LAST = 8
"""Finished jobs that are shown."""
KEYS = "j k select   c cancel   p pause or resume its queue   w watch   l log   q quit"
Facts = dict[str, Any]


def top(
    once: Annotated[bool, typer.Option("--once", help="Print it once and end.")] = False,
    as_json: Json = False,
) -> None:
    """Queues, running jobs, workers and what was finished last, on one screen.

    spinbot top

    spinbot top --once --json | jq '.queues[].queued'
    """
    client = Client().ensure()
    if as_json:
        document(_facts(client))
        return
    from rich.console import Console

    if once:
        console = Console(highlight=False)
        console.print(_page(_facts(client), -1, console))
        return
    _Screen(client, Console(highlight=False)).run()


def _facts(client: Client) -> Facts:
    """Of the daemon now; jobs as `GET /api/jobs` has them."""
    found: Facts = client.ask("GET", "/api/queues")
    newest = client.ask("GET", "/api/jobs", limit=100)["jobs"]
    found["running"] = client.ask("GET", "/api/jobs", state="active")["jobs"]
    found["waiting"] = list(reversed(client.ask("GET", "/api/jobs", state="queued", limit=1000)["jobs"]))[:20]
    over = [job for job in newest if "ended" in job]
    found["finished"] = sorted(over, key=lambda job: -job["ended"])[:LAST]
    return found


class _Screen:
    """The full screen: looks at the daemon once a second, and does what a key asks of the selected job."""

    def __init__(self, client: Client, console: Console) -> None:
        self._client = client
        self._console = console
        self._facts = _facts(client)
        self._selected = 0
        self._said = ""

    def run(self) -> None:
        from rich.live import Live

        from spinbot_cli.live import EVERY, keys

        while True:
            asked = ""
            with keys() as pressed, Live(console=self._console, screen=True, auto_refresh=False) as live:
                while asked not in ("w", "l"):
                    live.update(_page(self._facts, self._selected, self._console, self._said), refresh=True)
                    asked = pressed(EVERY)
                    if asked == "q":
                        return
                    self._act(asked)
            self._leave_for(asked)

    @property
    def _jobs(self) -> list[Facts]:
        return _selectable(self._facts)

    def _act(self, key: str) -> None:
        jobs = self._jobs
        self._selected = max(0, min(self._selected + {"j": 1, "k": -1}.get(key, 0), len(jobs) - 1))
        try:
            if key in ("c", "p") and jobs:
                self._said = self._cancel(jobs[self._selected]) if key == "c" else self._pause(jobs[self._selected])
            elif key == "?":
                self._said = KEYS
            self._facts = _facts(self._client)
            self._said = "" if self._said == "reconnecting" else self._said
        except DaemonUnreachable:
            self._said = "reconnecting"
        except SpinbotError as error:
            self._said = str(error)

    def _cancel(self, job: Facts) -> str:
        state = self._client.ask("DELETE", f"/api/jobs/{job['jobId']}")["state"]
        return f"{job['jobId']} {'is cancelled' if state == 'cancelled' else 'is asked to stop'}"

    def _pause(self, job: Facts) -> str:
        paused = next(queue["paused"] for queue in self._facts["queues"] if queue["queue"] == job["kind"])
        self._client.ask("POST", f"/api/queues/{job['kind']}/{'resume' if paused else 'pause'}")
        return f"{job['kind']} {'goes on' if paused else 'is paused'}"

    def _leave_for(self, key: str) -> None:
        """The screen is given up for as long as the job is watched or its log is read."""
        if not self._jobs:
            return
        job_id = self._jobs[self._selected]["jobId"]
        if key == "w":
            from spinbot_cli.watching import watch_all

            try:
                watch_all(self._client, [job_id])
            except JobCancelled:  # Ctrl-C: back to the screen
                return
            typer.prompt("Enter goes back", default="", show_default=False, prompt_suffix="")
        else:
            log = self._client.raw("GET", f"/api/jobs/{job_id}/logs", None, {}).decode(errors="replace")
            with self._console.pager():
                self._console.print(log or "nothing logged yet", markup=False)


def _selectable(facts: Facts) -> list[Facts]:
    return [*facts["running"], *facts["waiting"], *facts["finished"]]


def _page(facts: Facts, selected: int, console: Console, said: str = "") -> RenderableType:
    """One screen; `selected` counts through running, waiting and finished jobs."""
    from rich.console import Group
    from rich.text import Text

    ascii_only = not speaks_unicode(console.encoding)
    chosen = _selectable(facts)[selected]["jobId"] if 0 <= selected < len(_selectable(facts)) else ""
    rows: list[Text] = []
    for queue in facts["queues"]:
        state = "paused" if queue["paused"] else "busy" if queue["active"] else "idle"
        rows.append(_text(f"{queue['queue']:9} {state:7} {queue['queued']} queued", bold=queue["paused"]))
    counts = "  ".join(f"{count} {state}" for state, count in facts["jobs"].items())
    rows.append(_text(f"jobs      {counts}   watchers {facts['watchers']}"))
    rows += _workers(facts["workers"])
    for title, part in (("running", "running"), ("waiting", "waiting"), ("last finished", "finished")):
        if facts[part]:
            rows += [_text(""), _text(title, bold=True)]
            rows += [_row(job, job["jobId"] == chosen, ascii_only) for job in facts[part]]
    room = console.height - 2
    if selected >= 0 and len(rows) > room:
        at = next((index for index, row in enumerate(rows) if chosen and chosen in row.plain), 0)
        first = max(0, min(at - room // 2, len(rows) - room))
        rows = rows[first : first + room]
    if selected >= 0:
        rows += [_text(""), _text(said or KEYS, dim=not said)]
    return Group(*rows)


def _text(line: str, *, bold: bool = False, dim: bool = False) -> Any:
    from rich.text import Text

    return Text(line, style="bold" if bold else "dim" if dim else "", no_wrap=True, overflow="crop")


def _workers(workers: list[Facts]) -> list[Any]:
    rows = [_text(""), _text("workers", bold=True)]
    for worker in workers:
        memory = size(worker["rssMb"] * 1e6) if worker.get("rssMb") else "-"
        rows.append(
            _text(
                f"{worker['name']:18} {worker.get('device') or '-':6} {memory:>9}  {worker.get('models') or '-'}  "
                f"{worker.get('job') or 'idle'}"
            )
        )
    return rows if workers else [*rows, _text("none")]


def _row(job: Facts, chosen: bool, ascii_only: bool) -> Any:
    mark = ">" if chosen else " "
    full, empty = ("#", ".") if ascii_only else ("━", "╌")
    match job["state"]:
        case "active":
            done = job["progress"] // 5
            gone = duration(time.time() - job["started"]) if "started" in job else ""
            line = f"{full * done}{empty * (20 - done)} {job['progress']:3}%  {gone}  {job['message']}"
        case "queued":
            line = f"{'after ' + job['after'] + '  ' if job.get('after') else ''}{job['name']}"
        case state:
            took = duration(job["ended"] - job["started"]) if "started" in job else "-"
            line = f"{state:9} {ago(job['ended']):10} {took:8} {job['name']}"
    return _text(f"{mark} {job['jobId']:13} {line}", bold=chosen)
