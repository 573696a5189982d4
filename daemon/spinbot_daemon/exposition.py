"""The two texts that Prometheus reads: its own format, and OpenMetrics, which has exemplars."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from spinbot.tally import Bucket, Histogram

TEXT = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
Labels = tuple[tuple[str, str], ...]


class Page:
    """Metric families, one below the other, and at the end those of this process."""

    def __init__(self, openmetrics: bool) -> None:
        self._openmetrics = openmetrics
        self._lines: list[str] = []

    def family(self, name: str, kind: str, text: str, values: Mapping[Labels, float]) -> None:
        """One without values is left out."""
        if not values:
            return
        self._head(name, kind, text)
        self._lines += [f"{name}{shown(labels)} {value:.10g}" for labels, value in values.items()]

    def histograms(self, name: str, text: str, found: Mapping[Labels, Histogram]) -> None:
        self._head(name, "histogram", text)
        for labels, values in found.items():
            for bucket in values.buckets:
                le = "+Inf" if bucket.le == float("inf") else str(bucket.le) if self._openmetrics else f"{bucket.le:g}"
                line = f"{name}_bucket{shown((*labels, ('le', le)))} {bucket.count:g}"
                self._lines.append(line + (_exemplar(bucket) if self._openmetrics else ""))
            self._lines.append(f"{name}_sum{shown(labels)} {values.total:.10g}")
            self._lines.append(f"{name}_count{shown(labels)} {values.count:g}")

    def text(self) -> str:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        generate = generate_openmetrics if self._openmetrics else generate_latest
        return "\n".join(self._lines) + "\n" + generate(registry).decode()

    def _head(self, name: str, kind: str, text: str) -> None:
        if self._openmetrics and kind == "counter":
            # There a counter's family has no _total; spinbot_jobs is a gauge already, and a name is given once.
            name, kind = (name, "unknown") if name == "spinbot_jobs_total" else (name.removesuffix("_total"), kind)
        self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _exemplar(bucket: Bucket) -> str:
    if bucket.job is None:
        return ""
    job_id, seconds, at = bucket.job
    return f' # {{job_id="{job_id}"}} {seconds:g} {at:.3f}'


def shown(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""
