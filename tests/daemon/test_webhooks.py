"""A receiver of our own hears of every end: signed, once it is there, whatever was between."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from spinbot.home import Home
from spinbot.jobs import Completed, Failed, Job, TalkSpec, new_job
from spinbot.store import OUTBOX, JobStore
from spinbot_daemon.webhooks import checked_webhook, pause_after, signature


class Receiver(ThreadingHTTPServer):
    """Answers with the codes in `codes`, then 204; `heard` are (headers, body)."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.codes: list[int] = []
        self.heard: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/done"

    def next(self) -> tuple[dict[str, str], dict[str, Any], bytes]:
        headers, body = self.heard.get(timeout=20)
        return headers, json.loads(body), body


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        code = self.server.codes.pop(0) if self.server.codes else 204
        self.send_response(code)
        if code == 302:
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.server.heard.put(({name.lower(): value for name, value in self.headers.items()}, body))


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def submitted(gateway: Any, receiver: Receiver) -> str:
    answer = gateway.http.post("/api/generate", json={"prompt": "hello", "webhook": receiver.url})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["jobId"])


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "cancelled while queued"])
def test_every_kind_of_end_is_told_and_signed(
    gateway: Any, store: JobStore, home: Home, receiver: Receiver, end: str
) -> None:
    job_id = submitted(gateway, receiver)
    if end != "cancelled while queued":
        store.begin(job_id, 1, "w")
    match end:
        case "completed":
            store.finish(job_id, 1, Completed(result={"path": "/v.mp4"}))
        case "failed":
            store.finish(job_id, 1, Failed(error="no room"))
        case "cancelled":
            from spinbot.jobs import Cancelled

            store.finish(job_id, 1, Cancelled(reason="enough"))
        case _:
            gateway.http.delete(f"/api/jobs/{job_id}")
    headers, told, body = receiver.next()
    assert (told["type"], told["job"]["jobId"], told["job"]["state"]) == ("job.ended", job_id, end.split()[0])
    secret = home.webhook_secret_file.read_text().strip()
    assert headers["x-spinbot-signature"] == signature(secret, int(headers["x-spinbot-timestamp"]), body)
    assert headers["x-spinbot-delivery"] == f"{job_id}.1"


def test_a_receiver_that_fails_is_told_again_with_the_same_delivery(
    gateway: Any, store: JobStore, receiver: Receiver
) -> None:
    receiver.codes = [500]
    job_id = submitted(gateway, receiver)
    gateway.http.delete(f"/api/jobs/{job_id}")
    first, second = receiver.next()[0], receiver.next()[0]
    assert first["x-spinbot-delivery"] == second["x-spinbot-delivery"]
    assert (first["x-spinbot-try"], second["x-spinbot-try"]) == ("1", "2")


def test_a_redirect_is_not_followed(gateway: Any, store: JobStore, receiver: Receiver) -> None:
    receiver.codes = [302]
    job_id = submitted(gateway, receiver)
    gateway.http.delete(f"/api/jobs/{job_id}")
    receiver.next()
    _, _, _ = receiver.next()
    assert store.webhook(job_id)["tries"] >= 1


def test_what_was_due_before_the_gateway_started_is_told(
    home: Home, store: JobStore, receiver: Receiver, request: pytest.FixtureRequest
) -> None:
    job = store.add(new_job(TalkSpec(prompt="x", say="x", scene=""), webhook=receiver.url))
    store.cancel(job.id)
    assert store.redis.zcard(OUTBOX) == 1
    request.getfixturevalue("gateway")
    assert receiver.next()[1]["job"]["jobId"] == job.id


def test_a_job_without_a_webhook_puts_nothing_in_the_outbox(gateway: Any, store: JobStore) -> None:
    job: Job = store.add(new_job(TalkSpec(prompt="x", say="x", scene="")))
    store.cancel(job.id)
    assert store.redis.zcard(OUTBOX) == 0


def test_the_record_says_how_the_telling_went(gateway: Any, store: JobStore, receiver: Receiver) -> None:
    receiver.codes = [503]
    job_id = submitted(gateway, receiver)
    gateway.http.delete(f"/api/jobs/{job_id}")
    receiver.next()
    receiver.next()
    found = gateway.http.get(f"/api/jobs/{job_id}").json()["webhook"]
    assert found["url"] == receiver.url
    assert found["tries"] in (1, 2)  # the second is written after its answer


@pytest.mark.parametrize(
    "url",
    ["ftp://host/x", "/path", "http://", "http://me:secret@host/", "http://host:99999/", "http://a b/", "file:///x"],
)
def test_a_url_that_cannot_be_told_is_refused_at_the_door(gateway: Any, store: JobStore, url: str) -> None:
    answer = gateway.http.post("/api/generate", json={"prompt": "hello", "webhook": url})
    assert answer.status_code == 422
    assert "webhook" in answer.json()["error"]
    assert "secret" not in answer.text
    assert store.newest() == []


def test_good_urls_and_growing_pauses() -> None:
    for url in ("http://127.0.0.1:8000/x", "https://host.example/path?x=1", "http://[::1]:80/"):
        checked_webhook(url)
    pauses = [pause_after(tries, lambda: 0.0) for tries in range(1, 16)]
    assert pauses[:4] == [1, 2, 4, 8]
    assert max(pauses) == 3600
    assert pause_after(1, lambda: 1.0) == 1.5
