"""The gateway as an ASGI application."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI
from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry

import spinbot
from spinbot.jobs import KINDS
from spinbot.settings import Settings
from spinbot.store import JobStore, connect
from spinbot_daemon import answers
from spinbot_daemon.access import Access
from spinbot_daemon.after import may_run, waiting_for
from spinbot_daemon.broker import Broker
from spinbot_daemon.catalogue import Catalogue
from spinbot_daemon.jobs import Jobs
from spinbot_daemon.routes import catalogue, cleaning, health, jobs, queues, stats, submit, watch
from spinbot_daemon.routes.services import Services
from spinbot_daemon.stream import BUFFER, Hub
from spinbot_daemon.submissions import Submissions
from spinbot_daemon.token import ensure_webhook_secret
from spinbot_daemon.tracing import Traced, exporter
from spinbot_daemon.transport import Transport
from spinbot_daemon.webhooks import Webhooks

ERROR = {
    "type": "object",
    "required": ["error", "hint", "exitCode"],
    "properties": {"error": {"type": "string"}, "hint": {"type": "string"}, "exitCode": {"type": "integer"}},
}
WRONG = {"description": "what is wrong, and what to do about it", "content": {"application/json": {"schema": ERROR}}}

log = logging.getLogger(__name__)


def create_app(settings: Settings, *, token: str, buffer: int = BUFFER) -> FastAPI:
    """The whole gateway.

    Args:
        token: what TCP asks for.
        buffer: events kept for a watcher that does not keep up.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.services = use = _services(settings, buffer)
        reader = asyncio.create_task(use.hub.run())
        reader.add_done_callback(_end_without_reader)
        webhooks = Webhooks(use.store, ensure_webhook_secret(settings.folders), use.jobs.wire)
        use.hub.listeners.append(webhooks.look)
        sender = asyncio.create_task(webhooks.run())
        sender.add_done_callback(_end_without_reader)
        yield
        for task in (reader, sender):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    app = FastAPI(
        title="spinbot",
        version=spinbot.__version__,
        description="Turn a voice sample and a prompt into a short talking video, on your own machine.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses={"4XX": WRONG, "5XX": WRONG},
    )
    answers.install(app)
    for module in (submit, jobs, queues, cleaning, stats, catalogue, health, watch):
        app.include_router(module.router)
    app.add_middleware(Access, settings=settings, token=token)
    app.add_middleware(Traced)
    return app


def _services(settings: Settings, buffer: int) -> Services:
    # About two seconds in all: a valkey that is started again is not even noticed by those who ask.
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.02), 8)
    url = settings.broker_url()
    store = JobStore(connect(url, retry=retry, socket_timeout=10))
    transport = Transport(Redis.from_url(url, retry=retry, socket_timeout=10))
    found = Catalogue(settings.folders)

    def durable() -> None:
        if settings.redis_url is None:  # a broker elsewhere keeps what it is told in its own way
            Broker(settings.folders).make_durable(store.redis)

    submissions = Submissions(settings, store, transport, found, durable)

    trace = exporter(store)

    def on_over(job_id: str) -> None:
        trace(job_id)
        if job_id not in submissions.awaited:  # nearly always; the sweep finds what an earlier gateway took in
            return
        for job in waiting_for(store, job_id, KINDS):
            if may_run(store, job):
                transport.enqueue(job)

    return Services(
        settings=settings,
        store=store,
        jobs=Jobs(store, settings.folders),
        submissions=submissions,
        catalogue=found,
        hub=Hub(url, buffer=buffer, on_over=on_over),
    )


def _end_without_reader(reader: asyncio.Task[None]) -> None:
    """A gateway that hears or tells nothing must not look alive: it ends, and the supervisor starts another."""
    if not reader.cancelled() and (error := reader.exception()):
        log.critical("the reader of events, or the sender of webhooks, died", exc_info=error)
        signal.raise_signal(signal.SIGTERM)
