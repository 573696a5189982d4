"""`--on-done`: a command of the user's, run when a job is over."""

from __future__ import annotations

import shlex
import shutil
import string
import subprocess
from typing import Any

from spinbot.errors import BadInput
from spinbot_cli.client import Client
from spinbot_cli.say import tell

FIELDS = ("id", "state", "kind", "name", "result", "error")
Event = dict[str, Any]


class OnDone:
    """Runs the command once for each job that ends, beside the watching.

    Args:
        text: words as a shell would split them, with `{id}`, `{state}`, `{kind}`, `{name}`, `{result}` (a path) and
            `{error}`. Values are put into the words after the splitting and no shell is run: whatever a value holds,
            it stays one argument.

    Raises:
        BadInput: not a command, or a field that does not exist.
    """

    def __init__(self, client: Client, text: str) -> None:
        self._client = client
        try:
            self._words = shlex.split(text)
            parts = [part for word in self._words for part in string.Formatter().parse(word)]
        except ValueError as error:
            raise BadInput(f"--on-done {text!r}: {error}", hint="for example 'notify-send {state} {id}'") from error
        if unknown := sorted({name for _, name, *_ in parts if name is not None} - set(FIELDS)):
            raise BadInput(f"--on-done has no {{{unknown[0]}}}", hint=f"there are {', '.join(FIELDS)}")
        if not self._words or shutil.which(self._words[0]) is None:
            raise BadInput(f"--on-done: no command {self._words[0] if self._words else ''!r}", hint="is it installed?")
        self._running: list[subprocess.Popen[bytes]] = []

    def __call__(self, event: Event) -> None:
        """The job of this last event is over."""
        job = self._client.ask("GET", f"/api/jobs/{event['jobId']}")
        values = {
            "id": event["jobId"],
            "state": event["state"],
            "kind": job["kind"],
            "name": job["name"],
            "result": (event.get("result") or {}).get("path", ""),
            "error": event.get("error") or "",
        }
        words = [word.format(**values) for word in self._words]
        try:
            self._running.append(subprocess.Popen(words, stdin=subprocess.DEVNULL))
        except (OSError, ValueError) as error:  # it was there a moment ago; a value may hold a NUL
            tell(f"--on-done: {words[0]}: {error}")

    def finish(self) -> None:
        """Wait for the commands. One that fails is said; the exit code stays the job's."""
        for process in self._running:
            if code := process.wait():
                tell(f"--on-done: {self._words[0]} ended with {code}")


def checked(client: Client, text: str | None, *, detach: bool = False) -> OnDone | None:
    """Raises BadInput."""
    if text is None:
        return None
    if detach:
        raise BadInput("--on-done with --detach: nobody is there to run it", hint="--webhook URL needs no watcher")
    return OnDone(client, text)
