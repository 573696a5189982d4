"""One trace for each job: its id in every line of the log, and its spans to OpenTelemetry where that is asked for."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from spinbot import logs
from spinbot.events import Event, event_key
from spinbot.jobs import Job
from spinbot.store import JobStore

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

LOADING = frozenset({"voice", "look", "load", "download"})
WRITING = frozenset({"write", "frames", "preview"})
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

log = logging.getLogger(__name__)


class Traced:
    """ASGI: what a request does and logs belongs to its `traceparent`, or to a new trace."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            said = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
            logs.trace.set(logs.checked_traceparent(said.decode("latin-1")))
            logs.asked.set(time.time())
        await self._app(scope, receive, send)


def exporter(store: JobStore) -> Callable[[str], None]:
    """What is to be called with the id of a job that is over. Does nothing, and loads nothing, unless it is asked for.

    The spans are made of what the store knows, in one go, when the job is over: neither the worker nor the request
    waits for a collector, and a job that was taken up again after a crash has one trace all the same.
    """
    if not os.environ.get(ENDPOINT):
        return lambda job_id: None
    try:
        provider = _provider()
    except ImportError as error:
        log.warning("%s is set, but %s: pip install 'spinbot[otel]'; no traces are sent", ENDPOINT, error)
        return lambda job_id: None

    def export(job_id: str) -> None:
        job = store.get(job_id)
        if job.trace:
            send_spans(provider, job, store.events(job_id))

    return export


def _provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": "spinbot"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=500))
    return provider


def send_spans(provider: TracerProvider, job: Job, events: list[Event]) -> None:
    """`job` with submit, queue, load, run and write below it, one after the other in time."""
    from opentelemetry import trace
    from opentelemetry.trace import NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags

    assert job.trace is not None
    caller = SpanContext(int(job.trace[3:35], 16), int(job.trace[36:52], 16), is_remote=True, trace_flags=TraceFlags(1))
    tracer = provider.get_tracer("spinbot")
    facts: dict[str, str | int] = {"spinbot.job": job.id, "spinbot.queue": job.kind, "spinbot.attempt": job.attempt}
    facts["spinbot.state"] = job.state
    asked = job.asked or job.created
    whole = tracer.start_span(
        job.kind, trace.set_span_in_context(NonRecordingSpan(caller)), attributes=facts, start_time=_nanoseconds(asked)
    )
    if job.state == "failed":
        whole.set_status(Status(StatusCode.ERROR, getattr(job.status, "error", "")))
    inside = trace.set_span_in_context(whole)
    for name, start, end in spans_of(job, events):
        span = tracer.start_span(name, inside, start_time=_nanoseconds(start))
        span.end(_nanoseconds(end))
    whole.end(_nanoseconds(max(job.status.since, asked)))


def spans_of(job: Job, events: list[Event]) -> list[tuple[str, float, float]]:
    """(name, start, end) in Unix seconds: submit, queue, then load, run and write as the stages came."""
    spans = [("submit", job.asked or job.created, job.created)]
    end = job.status.since
    if job.started is None:
        return [*spans, ("queue", job.created, end)]
    spans.append(("queue", job.created, job.started))
    parts: list[tuple[str, float]] = []
    for event in events:
        if event.type == "progress" and event.stage and (not parts or parts[-1][0] != _phase(event.stage)):
            parts.append((_phase(event.stage), event_key(event.id)[0] / 1000))
    # What comes before the first word belongs to what is being begun.
    parts[:1] = [(parts[0][0] if parts else "run", job.started)]
    ends = [start for _, start in parts[1:]] + [end]
    return spans + [(name, start, until) for (name, start), until in zip(parts, ends, strict=True)]


def _phase(stage: str) -> str:
    return "load" if stage in LOADING else "write" if stage in WRITING else "run"


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
