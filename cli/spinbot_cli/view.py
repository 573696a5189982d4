"""What a person sees of jobs that run: bars on a terminal, plain lines elsewhere, NDJSON for programs."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from spinbot_cli.say import duration, speaks_unicode, tell

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from spinbot_cli.client import Client

OVER = frozenset({"completed", "failed", "cancelled"})
BLOCKS = "▁▂▃▄▅▆▇█"
ASCII_BLOCKS = "_.-~=+*#"
SPARKS = 16
LINES_A_SECOND = 1.0
Event = dict[str, Any]


class View(Protocol):
    def show(self, event: Event) -> None: ...

    def broke(self) -> None:
        """The connection broke and is being made again."""


def show_until_over(
    events: Iterable[Event], view: View, on_over: Callable[[Event], None] = lambda event: None
) -> dict[str, Event]:
    """Show `events`; returns the last event of each job that is over, by its id, after `on_over` was told of it."""
    ended: dict[str, Event] = {}
    for event in events:
        view.show(event)
        if event["type"] == "state" and event["state"] in OVER:
            ended[event["jobId"]] = event
            on_over(event)
    return ended


@contextmanager
def a_view(*, as_json: bool = False, quiet: bool = False, pictures: Client | None = None) -> Iterator[View]:
    """Bars when stderr is a terminal that can draw them, with the picture as it forms when `pictures` are wanted."""
    if as_json:
        yield Ndjson()
    elif quiet:
        yield Silent()
    elif sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with Bars(pictures) as bars:
            yield bars
    else:
        yield Lines()


class Silent:
    def show(self, event: Event) -> None:
        """Nothing: only the end counts."""

    def broke(self) -> None:
        """Nothing to say."""


class Ndjson:
    """The wire events as they are, one a line, on stdout."""

    def show(self, event: Event) -> None:
        print(json.dumps(event, ensure_ascii=not speaks_unicode(sys.stdout.encoding)), flush=True)

    def broke(self) -> None:
        tell("reconnecting")


@dataclass
class Lines:
    """One plain line for each change, at most one a second for each job; changes of state are never left out."""

    _told: dict[str, float] = field(default_factory=dict)
    _line: dict[str, str] = field(default_factory=dict)

    def show(self, event: Event) -> None:
        job_id, now = event["jobId"], time.monotonic()
        line = f"{job_id} {event['progress']:3d}% {event['state']}: {event['message']}{figures(event)}"
        important = event["type"] in ("state", "note", "gap")
        if event["type"] == "snapshot" or line == self._line.get(job_id):
            return
        if important or now - self._told.get(job_id, 0) >= LINES_A_SECOND:
            self._told[job_id], self._line[job_id] = now, line
            tell(line)

    def broke(self) -> None:
        tell("reconnecting")


class Bars:
    """One bar for each job: stage, step, it/s, loss with its history, time gone and time left."""

    def __init__(self, pictures: Client | None = None) -> None:
        from rich.console import Console, RenderableType
        from rich.progress import BarColumn, Progress, TextColumn

        from spinbot_cli.preview import Picture, wanted

        bars = self

        class BarsAndPicture(Progress):
            def get_renderables(self) -> Iterator[RenderableType]:
                yield from super().get_renderables()
                if bars._picture is not None and bars._picture.drawn is not None:
                    yield bars._picture.drawn

        self._console = Console(stderr=True)
        bar = 20 if self._console.width >= 70 else 6
        columns = [
            TextColumn("{task.fields[job]}", style="bold", markup=False),
            BarColumn(bar_width=bar),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[text]}", markup=False),
        ]
        self._beside = bar + len(" 100% ") + 2
        self._picture = Picture(pictures, self._console) if pictures and wanted(self._console) else None
        self._progress: Progress = BarsAndPicture(*columns, console=self._console, refresh_per_second=8)
        self._began: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._losses: dict[str, list[float]] = {}
        self._etas: dict[str, Eta] = {}
        self._ascii = not speaks_unicode(self._console.encoding)
        self._url = ""

    def __enter__(self) -> Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        job_id = event["jobId"]
        if job_id not in self._tasks:
            self._tasks[job_id] = self._progress.add_task("", total=100, job=job_id, text="")
        if event["type"] == "snapshot":
            return
        if event["type"] == "note":
            self._progress.console.print(f"{job_id}: {event['message']}", markup=False, highlight=False)
            return
        metrics = event.get("metrics") or {}
        if "loss" in metrics:
            self._losses.setdefault(job_id, []).append(metrics["loss"])
        if event["type"] == "state" and event["state"] == "active":
            self._began[job_id] = moment(event["id"])
        eta = self._etas.setdefault(job_id, Eta()).smoothed(event.get("etaSeconds"))
        text = " ".join(figures(event, eta=eta).split(" ")).strip()
        if (history := self._losses.get(job_id)) and event["state"] == "active":
            text += " " + sparkline(history, ASCII_BLOCKS if self._ascii else BLOCKS)
        if job_id in self._began:
            text = f"{duration(moment(event['id']) - self._began[job_id])}  {text}"
        text = f"{text}  {event['message']}".strip()
        if self._ascii:
            text = text.encode("ascii", "replace").decode()
        self._progress.update(self._tasks[job_id], completed=event["progress"], text=self._cut(text, job_id))
        self._show_picture(event)

    def _show_picture(self, event: Event) -> None:
        """Only of one job: of several, the bars are what is to be compared."""
        if self._picture is None or len(self._tasks) > 1:
            return
        if preview := event.get("preview"):
            self._url = preview
        if self._url and event["state"] in ("active", "completed"):
            self._picture.show(self._url, event["id"], at_once=event["state"] == "completed")

    def _cut(self, text: str, job_id: str) -> str:
        """What fits in the line, so that no bar takes two. The figures come first: they are what must be seen."""
        room = self._console.width - self._beside - len(job_id) - 1
        return text if len(text) <= room else text[: max(0, room)].rstrip()

    def broke(self) -> None:
        self._progress.console.print("reconnecting", style="yellow")


class Eta:
    """Time left as shown: counts down by the clock, and follows new estimates gently, so that it does not jump."""

    def __init__(self) -> None:
        self._left: float | None = None
        self._at = 0.0

    def smoothed(self, estimate: float | None, now: float | None = None) -> float | None:
        now = time.monotonic() if now is None else now
        if estimate is None:
            return self._left
        if self._left is not None:
            counted = max(0.0, self._left - (now - self._at))
            estimate = counted + 0.2 * (estimate - counted)
        self._left, self._at = estimate, now
        return estimate


def moment(event_id: str) -> float:
    """Unix seconds at which an event was made: its id begins with the milliseconds."""
    return int(event_id.partition("-")[0]) / 1000


def figures(event: Event, *, eta: float | None = None) -> str:
    """` 12/150  1.2 it/s  loss 3.21  0:42 left`, as far as the event has them."""
    metrics = event.get("metrics") or {}
    parts: list[str] = []
    if event["state"] == "active" and event.get("total"):
        parts.append(f"{event['step']}/{event['total']}")
    if (rate := metrics.get("it/s")) and event["state"] == "active":
        parts.append(f"{rate:.1f} it/s" if rate >= 1 else f"{1 / rate:.1f} s/it")
    parts += [f"{name} {metrics[name]:.3g}" for name in ("loss", "similarity") if name in metrics]
    left = event.get("etaSeconds") if eta is None else eta
    if left is not None and event["state"] == "active":
        parts.append(f"{duration(left)} left")
    return "  " + "  ".join(parts) if parts else ""


def sparkline(values: list[float], blocks: str = BLOCKS) -> str:
    """The means of SPARKS equal parts of `values`, low to high."""
    count = min(SPARKS, len(values))
    edges = [index * len(values) // count for index in range(count + 1)]
    means = [sum(values[a:b]) / (b - a) for a, b in zip(edges, edges[1:], strict=False)]
    low, high = min(means), max(means)
    span = (high - low) or 1.0
    return "".join(blocks[min(len(blocks) - 1, int((mean - low) / span * len(blocks)))] for mean in means)
