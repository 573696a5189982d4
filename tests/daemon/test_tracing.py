"""One trace for each job: in its record, in every line of the log, and at a collector where one is named."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from spinbot import logs
from spinbot.events import Event, event_key
from spinbot.jobs import Completed, Failed
from spinbot.store import JobStore

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def submit(gateway: Any, traceparent: str = PARENT) -> str:
    answer = gateway.http.post("/api/generate", json={"prompt": "hello"}, headers={"traceparent": traceparent})
    assert answer.status_code == 202
    return str(answer.json()["jobId"])


def test_a_job_belongs_to_the_trace_of_its_request(gateway: Any) -> None:
    job_id = submit(gateway)
    assert gateway.http.get(f"/api/jobs/{job_id}").json()["trace"] == PARENT[3:35]


@pytest.mark.parametrize("bad", ["", "x", "00-" + "0" * 32 + "-" + "1" * 16 + "-01", PARENT.upper(), PARENT + "-x"])
def test_a_bad_header_begins_a_new_trace(gateway: Any, store: JobStore, bad: str) -> None:
    found = store.get(submit(gateway, bad)).trace
    assert found is not None
    assert logs.TRACEPARENT.fullmatch(found)
    assert found != bad


def test_lines_are_json_and_name_trace_and_job() -> None:
    logs.trace.set(PARENT)
    logs.job.set("gen-222222")
    try:
        raise OSError("no room")
    except OSError:
        record = logging.LogRecord("a.b", logging.ERROR, "x.py", 1, "broke %s\n\x1b", ("twice",), None)
        record.exc_info = sys.exc_info()
    finally:
        line = logs.formatter("json").format(record)
        logs.trace.set("")
        logs.job.set("")
    assert "\n" not in line
    told = json.loads(line)
    assert (told["level"], told["logger"], told["message"]) == ("ERROR", "a.b", "broke twice\n\x1b")
    assert (told["trace"], told["job"]) == (PARENT[3:35], "gen-222222")
    assert "OSError: no room" in told["exception"]


class Collector(BaseHTTPRequestHandler):
    """Keeps the spans it is sent."""

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        request = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self.server.spans.put(span)  # type: ignore[attr-defined]


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[queue.Queue[Any]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.spans = queue.Queue()  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield server.spans  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def next_millisecond(store: JobStore) -> None:
    """Spans begin at the milliseconds of events: two in the same one have no order."""
    last = event_key(store.newest_id())[0]
    while time.time() * 1000 < last + 1:
        pass


def step(store: JobStore, job_id: str, stage: str) -> None:
    next_millisecond(store)
    facts = {"type": "progress", "state": "active", "progress": 1, "message": stage, "stage": stage}
    store.emit(Event.model_validate({"job_id": job_id, **facts, "step": 1, "total": 1}))


def test_a_collector_gets_the_spans_of_a_job_in_one_trace(
    collector: queue.Queue[Any], gateway: Any, store: JobStore
) -> None:
    job_id = submit(gateway)
    next_millisecond(store)
    store.begin(job_id, 1, "w")
    for stage in ("voice", "speech", "look", "portrait", "frames"):
        step(store, job_id, stage)
    next_millisecond(store)
    store.finish(job_id, 1, Completed(result={}))
    spans = [collector.get(timeout=20) for _ in range(8)]
    assert {span.trace_id.hex() for span in spans} == {PARENT[3:35]}
    whole = next(span for span in spans if span.name == "generate")
    assert whole.parent_span_id.hex() == PARENT[36:52]
    parts = sorted((span for span in spans if span is not whole), key=lambda span: span.start_time_unix_nano)
    assert [span.name for span in parts] == ["submit", "queue", "load", "run", "load", "run", "write"]
    assert {span.parent_span_id for span in parts} == {whole.span_id}
    for before, after in zip(parts, parts[1:], strict=False):
        assert before.end_time_unix_nano == after.start_time_unix_nano
    assert parts[0].start_time_unix_nano == whole.start_time_unix_nano
    assert parts[-1].end_time_unix_nano == whole.end_time_unix_nano
    assert {each.key: each.value.string_value for each in whole.attributes}["spinbot.job"] == job_id


def test_a_failure_is_an_error_with_its_reason(collector: queue.Queue[Any], gateway: Any, store: JobStore) -> None:
    job_id = submit(gateway)
    store.begin(job_id, 1, "w")
    store.finish(job_id, 1, Failed(error="no room"))
    spans = [collector.get(timeout=20) for _ in range(4)]
    whole = next(span for span in spans if span.name == "generate")
    assert (whole.status.code, whole.status.message) == (2, "no room")


def test_without_a_collector_no_exporter_is_loaded() -> None:
    """redis-py loads the SDK by itself where it is installed; the exporter is ours to leave out."""
    check = "import sys, spinbot_daemon.app; sys.exit('opentelemetry.exporter.otlp' in str(list(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
