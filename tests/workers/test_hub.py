"""Models from the hub, fetched from a small hub of our own on loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections import namedtuple
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants
from huggingface_hub.file_download import http_get

from spinbot.errors import BadInput, JobFailed
from spinbot_workers.look.hub import fetched, is_hub_id
from spinbot_workers.report import Recorder, StopRequested

SHA = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = bytes(range(256)) * 12_000
MODEL = {
    "model_index.json": b'{"_class_name": "StableDiffusionPipeline"}',
    "unet/config.json": b"{}",
    "unet/weights.safetensors": WEIGHTS,
    "unet/weights.fp16.safetensors": b"half",
    "checkpoint.ckpt": b"a pickle",
    "README.md": b"words",
}


class Hub(ThreadingHTTPServer):
    """Serves `models`; breaks a file off after `break_after` bytes, `breaks` times; `asked` are ranges."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.models: dict[str, dict[str, bytes]] = {"tiny/robot": dict(MODEL)}
        self.break_after = self.breaks = 0
        self.asked: list[tuple[str, str]] = []


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/")
        if path.startswith("api/models/"):
            parts = path.split("/")
            self._api("/".join(parts[2:4]), parts[4] if len(parts) > 4 else "revision")
        else:
            parts = path.split("/")
            self._file("/".join(parts[:2]), "/".join(parts[4:]))

    def _api(self, model: str, what: str) -> None:
        files = self.server.models.get(model)
        if files is None:
            self._answer(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
        elif what == "tree":
            rows = [
                {"type": "file", "path": name, "size": len(body), "oid": hashlib.sha1(body).hexdigest()}
                for name, body in files.items()
            ]
            self._answer(200, json.dumps(rows).encode())
        else:
            about = {"id": model, "modelId": model, "sha": SHA, "siblings": [{"rfilename": name} for name in files]}
            self._answer(200, json.dumps(about).encode())

    def _file(self, model: str, name: str) -> None:
        body = self.server.models[model][name]
        headers = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": SHA, "Accept-Ranges": "bytes"}
        if self.command == "HEAD":
            self._answer(200, body, headers)
            return
        wanted = self.headers.get("Range", "")
        self.server.asked.append((name, wanted))
        start = int(wanted.removeprefix("bytes=").partition("-")[0]) if wanted else 0
        headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        if self.server.breaks and name.endswith(".safetensors"):
            self.server.breaks -= 1
            self.send_response(206 if start else 200)
            for key, value in {**headers, "Content-Length": str(len(body) - start)}.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body[start : start + self.server.break_after])
            self.wfile.flush()
            self.close_connection = True
            return
        self._answer(206 if start else 200, body[start:], headers)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield server
    server.shutdown()
    server.server_close()


def test_the_first_use_downloads_what_is_needed_and_says_how_much(hub: Hub) -> None:
    report = Recorder()
    folder = fetched("tiny/robot", report)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == ["model_index.json", "unet/config.json", "unet/weights.safetensors"]
    assert (folder / "unet/weights.safetensors").read_bytes() == WEIGHTS
    assert folder.name == SHA
    assert "3.1 MB" in report.notes[0]
    assert report.steps[-1][:3] == ("download", 1, 1)


def test_the_second_use_asks_nobody(hub: Hub) -> None:
    folder = fetched("tiny/robot", Recorder())
    hub.models.clear()
    report = Recorder()
    assert fetched("tiny/robot", report) == folder
    assert report.steps == []


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.break_after = 1_000_000
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)
    hub.breaks = 1
    assert (fetched("tiny/robot", Recorder()) / "unet/weights.safetensors").read_bytes() == WEIGHTS
    first, second = [wanted for name, wanted in hub.asked if name == "unet/weights.safetensors"]
    assert (first, second) == ("", f"bytes={1_000_000 // 65_536 * 65_536}-")


def test_one_that_cannot_be_finished_says_how_to_go_on(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.file_download.http_get", partial(http_get, _nb_retries=0))
    hub.break_after, hub.breaks = 1_000_000, 1
    with pytest.raises(JobFailed, match="broke off") as caught:
        fetched("tiny/robot", Recorder())
    assert "spinbot retry" in caught.value.hint
    assert (fetched("tiny/robot", Recorder()) / "unet/weights.safetensors").read_bytes() == WEIGHTS


def test_a_job_that_is_told_to_stop_stops_its_download(hub: Hub) -> None:
    with pytest.raises(StopRequested):
        fetched("tiny/robot", Recorder(stop_at=("download", 0)))


def test_a_disk_that_is_too_small_is_said_with_both_figures(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, 2_000_000))
    with pytest.raises(JobFailed, match=r"needs 3\.1 MB.*has 2\.0 MB free") as caught:
        fetched("tiny/robot", Recorder())
    assert "HF_HOME" in caught.value.hint


def test_without_a_network_it_says_so_and_names_what_is_here(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched("tiny/robot", Recorder())
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadInput, match="other/model is not on this machine, and the hub cannot be reached") as caught:
        fetched("other/model", Recorder())
    assert caught.value.hint == "on this machine: starter, tiny/robot"


def test_a_model_the_hub_does_not_have_is_refused(hub: Hub) -> None:
    with pytest.raises(BadInput, match="the hub has no model tiny/none"):
        fetched("tiny/none", Recorder())


def test_pickles_are_refused_with_how_to_convert(hub: Hub) -> None:
    hub.models["old/one"] = {"model_index.json": b"{}", "unet/weights.bin": b"a pickle"}
    with pytest.raises(BadInput, match="safetensors") as caught:
        fetched("old/one", Recorder())
    assert "save_pretrained" in caught.value.hint


@pytest.mark.parametrize(
    ("model", "is_one"), [("org/name", True), ("starter", False), ("/a/folder", False), ("a/b/c", False)]
)
def test_what_is_a_hub_id(model: str, is_one: bool) -> None:
    assert is_hub_id(model) is is_one
