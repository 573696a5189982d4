"""spinbot stats"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from spinbot.errors import BadInput
from spinbot.files import new_file
from spinbot_cli.client import Client
from spinbot_cli.options import Json
from spinbot_cli.say import document, duration, out, speaks_unicode, table, tell
from spinbot_cli.values import seconds

COLOURS = {"completed": "green", "failed": "red", "cancelled": "orange"}
QUANTILES = ("p50", "p95", "p99")
Facts = dict[str, Any]


def stats(
    since: Annotated[str, typer.Option(help="Of the jobs made in the last 24h or 7d.")] = "7d",
    plot: Annotated[bool, typer.Option("--plot", help="Draw throughput and durations in the terminal.")] = False,
    png: Annotated[Path | None, typer.Option(help="Draw them into this PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Say how many jobs ended how, how long they waited and took. Needs no Prometheus.

    spinbot stats --since 24h

    spinbot stats --png week.png
    """
    length = seconds(since, "--since")
    if not length:
        raise BadInput(f"--since {since}: nothing lies in it", hint="for example 24h or 7d")
    found: Facts = Client().ensure().ask("GET", "/api/stats", since=length)
    if as_json:
        document(found)
        return
    if png is not None:
        _draw(found, png)
        out(str(png))
        return
    header = ["QUEUE", "MADE", "DONE", "FAILED", "CANCELLED", "AGAIN", "WAIT p50", "p95", "TOOK p50", "p95", "p99"]
    out("\n".join(table(header, [_row(queue) for queue in found["queues"]])))
    if not found["complete"]:
        tell("only the newest jobs were looked at: there are more in that time")
    if plot:
        _plot(found)


def _row(queue: Facts) -> list[str]:
    wait, took = queue["wait"] or {}, queue["duration"] or {}
    counts = [str(queue[name]) for name in ("submitted", "completed", "failed", "cancelled", "again")]
    times = [wait.get("p50"), wait.get("p95"), took.get("p50"), took.get("p95"), took.get("p99")]
    return [queue["queue"], *counts, *("-" if time is None else _short(time) for time in times)]


def _short(time: float) -> str:
    return f"{time:.1f} s" if time < 60 else duration(time)


def _labels(found: Facts) -> list[str]:
    """When each part of the time began, as the clock on the wall says."""
    import time

    pattern = "%H:%M" if found["until"] - found["since"] <= 2 * 86_400 else "%d %b"
    return [time.strftime(pattern, time.localtime(part["from"])) for part in found["parts"]]


def _plot(found: Facts) -> None:
    import plotext

    places, labels = list(range(len(found["parts"]))), _labels(found)
    plotext.clear_figure()
    bars = [[part[state] for part in found["parts"]] for state in COLOURS]
    plotext.stacked_bar(places, bars, labels=list(COLOURS), color=list(COLOURS.values()))
    plotext.xticks(places[::6], labels[::6])
    _show("jobs that ended")
    plotext.clear_figure()
    names, heights = _times(found)
    plotext.multiple_bar(names, list(heights.values()), labels=list(heights))
    _show("seconds")


def _show(title: str) -> None:
    import os
    import sys

    import plotext

    plotext.title(title)
    plotext.plotsize(min(100, plotext.terminal_width() or 80), 15)
    drawn = plotext.build()
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        drawn = plotext.uncolorize(drawn)
    out(drawn if speaks_unicode(sys.stdout.encoding) else drawn.encode("ascii", "replace").decode())


def _times(found: Facts) -> tuple[list[str], dict[str, list[float]]]:
    """What was waited for or took time, and each quantile of them in seconds."""
    pairs = [(queue, what) for queue in found["queues"] for what in ("wait", "duration")]
    heights = {quantile: [(queue[what] or {}).get(quantile, 0.0) for queue, what in pairs] for quantile in QUANTILES}
    return [f"{queue['queue']} {what}" for queue, what in pairs], heights


def _draw(found: Facts, path: Path) -> None:
    """With matplotlib, which the voices bring along."""
    try:
        import matplotlib as mpl
    except ImportError as error:
        raise BadInput("--png needs matplotlib", hint="pip install matplotlib; --plot draws in the terminal") from error
    mpl.use("agg")
    from matplotlib import pyplot

    if path.suffix.lower() != ".png":
        raise BadInput(f"--png {path}: not a .png")
    figure, (ends, times) = pyplot.subplots(2, 1, figsize=(9, 6), layout="constrained")
    places, labels = list(range(len(found["parts"]))), _labels(found)
    below = [0.0] * len(places)
    for state, colour in COLOURS.items():
        values = [part[state] for part in found["parts"]]
        ends.bar(places, values, bottom=below, color=colour, label=state)
        below = [a + b for a, b in zip(below, values, strict=True)]
    ends.set_xticks(places[::4], labels[::4])
    ends.set_title("Jobs that ended")
    ends.legend()
    names, heights = _times(found)
    for offset, (quantile, values) in zip((-0.25, 0.0, 0.25), heights.items(), strict=True):
        times.bar([place + offset for place in range(len(names))], values, width=0.25, label=quantile)
    times.set_xticks(range(len(names)), names)
    times.set_ylabel("seconds")
    times.set_title("Waiting and duration")
    times.legend()
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    with new_file(path.absolute()) as temporary:
        figure.savefig(temporary, format="png", dpi=100)
