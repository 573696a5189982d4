"""Draws the panels of "Monitoring: Jobs" from a Prometheus into a PNG: for the docs, and where no Grafana can be had.

python deploy/draw.py http://localhost:9090 docs/images/monitoring-jobs.png --minutes 5
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib import pyplot

PANELS = Path(__file__).parent / "grafana" / "monitoring-jobs.json"
POINTS = 240


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("prometheus")
    parser.add_argument("png", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    arguments = parser.parse_args()
    panels = json.loads(PANELS.read_text())["panels"]
    figure, places = pyplot.subplots((len(panels) + 1) // 2, 2, figsize=(13, 2.3 * (len(panels) + 1) // 2))
    for panel, place in zip(panels, places.flat, strict=False):
        _draw(panel, place, arguments.prometheus, arguments.minutes)
    figure.suptitle("Monitoring: Jobs")
    figure.tight_layout()
    figure.savefig(arguments.png, dpi=80)


def _draw(panel: dict[str, Any], place: Any, prometheus: str, minutes: float) -> None:
    place.set_title(panel["title"], fontsize=9)
    end = time.time()
    for target in panel["targets"]:
        for series in _range(prometheus, target["expr"].replace("$__rate_interval", "1m"), end - 60 * minutes, end):
            values = [(float(at) - end, float(value)) for at, value in series["values"]]
            times, heights = [at / 60 for at, _ in values], [value for _, value in values]
            place.plot(times, heights, label=_legend(target["legendFormat"], series["metric"]), linewidth=1)
    if panel["type"] != "heatmap" and place.lines:
        place.legend(fontsize=6, loc="upper left")
    place.set_ylim(bottom=0)
    place.tick_params(labelsize=7)
    place.set_ylabel(panel["fieldConfig"]["defaults"]["unit"], fontsize=7)


def _range(prometheus: str, query: str, start: float, end: float) -> list[dict[str, Any]]:
    words = urllib.parse.urlencode({"query": query, "start": start, "end": end, "step": (end - start) / POINTS})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{words}", timeout=30) as answer:
        return list(json.load(answer)["data"]["result"])


def _legend(pattern: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        pattern = pattern.replace("{{" + name + "}}", value)
    return pattern


if __name__ == "__main__":
    main()
