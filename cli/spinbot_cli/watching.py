"""Watching jobs for a command: show them, say how to go on after Ctrl-C, and end with the job's exit code."""

from __future__ import annotations

from collections.abc import Sequence

from spinbot.errors import JobCancelled, JobFailed
from spinbot_cli.client import Client
from spinbot_cli.on_done import OnDone
from spinbot_cli.say import tell
from spinbot_cli.view import Event, a_view, show_until_over


def watch_all(
    client: Client,
    job_ids: Sequence[str],
    *,
    as_json: bool = False,
    quiet: bool = False,
    timeout: float | None = None,
    preview: bool = True,
    on_done: OnDone | None = None,
) -> dict[str, Event]:
    """Show `job_ids` to their end; returns the last event of each.

    Raises:
        JobCancelled: Ctrl-C was typed. The jobs go on.
    """
    from spinbot_cli.follow import follow  # websockets: only where something is watched

    pictures = client if preview and len(job_ids) == 1 and job_ids[0].startswith("gen-") else None
    try:
        with a_view(as_json=as_json, quiet=quiet, pictures=pictures) as view:
            events = follow(client, job_ids, timeout=timeout, on_break=view.broke)
            return show_until_over(events, view, on_done or (lambda event: None))
    except KeyboardInterrupt:
        names = " ".join(job_ids)
        tell(f"stopped watching; {'the jobs go' if len(job_ids) > 1 else 'the job goes'} on: spinbot watch {names}")
        raise JobCancelled("interrupted", hint=f"to cancel: spinbot cancel {names}") from None
    finally:
        if on_done is not None:
            on_done.finish()


def check(event: Event) -> None:
    """Raises JobFailed or JobCancelled for a job that did not complete."""
    if event["state"] == "failed":
        raise JobFailed(f"{event['jobId']} failed: {event.get('error')}", hint=event.get("hint") or "")
    if event["state"] == "cancelled":
        raise JobCancelled(f"{event['jobId']} was cancelled: {event.get('error')}")


def check_all(ended: dict[str, Event]) -> None:
    """Raises for the worst of them: a failed one before a cancelled one."""
    worst = sorted(ended.values(), key=lambda event: {"failed": 0, "cancelled": 1}.get(event["state"], 2))
    if worst:
        check(worst[0])
