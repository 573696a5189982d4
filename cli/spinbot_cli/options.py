"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout; NDJSON for a stream.")]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Print the job's id and return.")]
Timeout = Annotated[str | None, typer.Option("--timeout", help="Stop watching after 90s, 30m or 2h; exit code 124.")]
Limit = Annotated[str | None, typer.Option("--time-limit", help="The job fails when it runs longer: 90s, 30m, 2h.")]
First = Annotated[bool, typer.Option("--first", help="Before the others in its queue.")]
After = Annotated[str | None, typer.Option("--after", help="Run when this job has completed.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, max=2**32 - 1, help="The same seed repeats the result.")]
Steps = Annotated[int | None, typer.Option("--steps", min=1, help="More steps take longer.")]
NoPreview = Annotated[bool, typer.Option("--no-preview", help="No picture in the terminal.")]
OnDoneText = Annotated[
    str | None,
    typer.Option("--on-done", help="Run this when a job is over: 'notify-send {state} {id}'.", metavar="COMMAND"),
]
Webhook = Annotated[
    str | None, typer.Option("--webhook", help="POST the job's end to this URL, signed.", metavar="URL")
]
