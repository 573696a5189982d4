"""Writes deploy/grafana/monitoring-jobs.json, the dashboard "Monitoring: Jobs". With `--check` it only compares."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "grafana" / "monitoring-jobs.json"
SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24
Query = tuple[str, str]
"""PromQL and the legend."""
PANELS: list[tuple[str, str, str, list[Query]]] = [
    ("Throughput by state", "timeseries", "ops", [
        ("sum by (state) (rate(spinbot_jobs_total[$__rate_interval]))", "{{state}}")]),
    ("Jobs now", "stat", "short", [("sum by (queue, state) (spinbot_jobs)", "{{queue}} {{state}}")]),
    ("Duration", "heatmap", "s", [
        ("sum by (le) (increase(spinbot_job_duration_seconds_bucket[$__rate_interval]))", "{{le}}")]),
    ("Duration: p50, p95, p99", "timeseries", "s", [
        (f"histogram_quantile({share}, sum by (le, queue) (rate(spinbot_job_duration_seconds_bucket[1h])))",
         f"{{{{queue}}}} p{share[2:]}") for share in ("0.50", "0.95", "0.99")]),
    ("Queue depth", "timeseries", "short", [('spinbot_jobs{state="queued"}', "{{queue}}")]),
    ("Wait: p50, p95, and the oldest in the queue", "timeseries", "s", [
        *((f"histogram_quantile({share}, sum by (le, queue) (rate(spinbot_job_wait_seconds_bucket[1h])))",
           f"{{{{queue}}}} p{share[2:]}") for share in ("0.50", "0.95")),
        ("spinbot_oldest_queued_seconds", "{{queue}} oldest")]),
    ("WebSocket clients", "timeseries", "short", [("websocket_clients_connected", "connected")]),
    ("WebSocket messages", "timeseries", "ops", [
        ("sum by (type) (rate(websocket_messages_total[$__rate_interval]))", "{{type}}"),
        ("rate(websocket_dropped_events_total[$__rate_interval])", "dropped")]),
    ("Workers", "timeseries", "short", [
        ("spinbot_workers", "{{queue}} up"),
        ("increase(spinbot_worker_restarts_total[$__rate_interval])", "{{queue}} restarts")]),
    ("Steps", "timeseries", "ops", [("rate(spinbot_steps_total[$__rate_interval])", "{{queue}}")]),
    ("Memory of workers and devices", "timeseries", "bytes", [
        ("spinbot_worker_resident_bytes", "{{queue}} resident"),
        ("spinbot_device_used_bytes", "{{queue}} GPU")]),
    ("GPU in use", "timeseries", "percentunit", [("spinbot_device_utilization_ratio", "{{queue}}")]),
    ("Silence of running jobs, free disk", "stat", "short", [
        ("spinbot_last_progress_seconds", "{{queue}} silent, s"),
        ("spinbot_disk_free_bytes / 1e9", "GB free")]),
]  # fmt: skip


def dashboard() -> dict[str, Any]:
    """As Grafana 11 imports it: two panels a row."""
    return {
        "uid": "spinbot-jobs",
        "title": "Monitoring: Jobs",
        "tags": ["spinbot"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": [_panel(index, *facts) for index, facts in enumerate(PANELS)],
    }


def _panel(index: int, title: str, kind: str, unit: str, queries: list[Query]) -> dict[str, Any]:
    targets = [
        {"refId": chr(65 + number), "datasource": SOURCE, "expr": expr, "legendFormat": legend,
         "format": "heatmap" if kind == "heatmap" else "time_series"}
        for number, (expr, legend) in enumerate(queries)
    ]  # fmt: skip
    return {
        "id": index + 1,
        "title": title,
        "type": kind,
        "datasource": SOURCE,
        "gridPos": {"x": index % 2 * WIDTH // 2, "y": index // 2 * 8, "w": WIDTH // 2, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"calculate": False} if kind == "heatmap" else {},
        "targets": targets,
    }


def main() -> int:
    text = json.dumps(dashboard(), indent=2) + "\n"
    if "--check" in sys.argv:
        if TARGET.is_file() and TARGET.read_text() == text:
            return 0
        print("deploy/grafana/monitoring-jobs.json is not what deploy/dashboard.py makes: make docs")
        return 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
