"""A short turn of every fuzzer; `make fuzz` is the long one."""

from __future__ import annotations

import importlib.util
import json

import pytest
from fuzz import audio, interface
from real_gateway import gateway, until_closed, watch_buffer  # noqa: F401

from spinbot.jobs import TalkSpec, new_job

SEED = 20261124


def test_no_request_by_or_against_the_document_is_a_server_error(gateway, caplog):  # noqa: F811
    made, passed, said = interface.schemathesis(gateway.url, gateway.token, examples=4, seed=SEED)
    assert made > 50, said[-2000:]
    assert passed == made, said[-4000:]
    assert "Traceback" not in caplog.text


def test_nonsense_on_a_websocket_harms_nobody_else(gateway, store, caplog):  # noqa: F811
    job = store.add(new_job(TalkSpec(prompt="hi", say="hi", scene="")))
    with gateway.watch(f"?jobId={job.id}") as watcher:
        assert json.loads(watcher.recv(timeout=10))["type"] == "snapshot"
        assert interface.nonsense(gateway.socket, 200, SEED) > 50
        store.cancel(job.id)
        assert [json.loads(text)["state"] for text in watcher][-1] == "cancelled"
    assert gateway.http.get("/health").status_code == 200
    assert "Traceback" not in caplog.text


@pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="the workers are not installed")
def test_mutated_recordings_are_read_or_refused():
    found = audio.run(300, first=SEED)
    assert found.wrong == []
    assert found.read > 10
    assert found.refused > 100
