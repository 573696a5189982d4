"""A real Prometheus reads a real daemon: every query of dashboard and alerts, and what the jobs really did."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
WITHOUT_GPU = ("spinbot_device_",)
pytestmark = [
    pytest.mark.prometheus,
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus: apt-get install prometheus"),
]


class Prometheus:
    """Asks over the HTTP API."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples; an error of the query is one here."""
        words = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self._url}/api/v1/query?{words}", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return list(found["data"]["result"])

    def value(self, query: str) -> float:
        return sum(float(sample["value"][1]) for sample in self.ask(query))

    def until(self, seen: Callable[[], bool], what: str) -> None:
        """Fails after 40 s."""
        over = threading.Event()
        timer = threading.Timer(40, over.set)
        timer.start()
        try:
            while True:
                try:
                    if seen():
                        return
                except (urllib.error.URLError, ConnectionError):
                    pass  # it is starting
                assert not over.wait(0.2), what
        finally:
            timer.cancel()


@pytest.fixture
def prometheus(shell: Any, tmp_path: Path) -> Iterator[Prometheus]:
    """With the repository's configuration, a second between scrapes, and the daemon's real address and token."""
    shell.run("daemon", "start")
    target = str(shell.json("daemon", "status")["url"]).removeprefix("http://")
    (tmp_path / "spinbot-token").write_text(shell.run("token").stdout.strip())
    shutil.copy(DEPLOY / "alerts.yml", tmp_path)
    text = (DEPLOY / "prometheus.yml").read_text().replace("localhost:7801", target).replace("15s", "1s")
    (tmp_path / "prometheus.yml").write_text(text)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = ["prometheus", f"--config.file={tmp_path}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    with (tmp_path / "prometheus.log").open("w") as log:
        process = subprocess.Popen([*words, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    found = Prometheus(port)
    try:
        found.until(lambda: found.value("up") == 1, f"the daemon is not scraped: {tmp_path}/prometheus.log")
        yield found
    finally:
        process.terminate()
        process.wait(20)


def queries() -> dict[str, str]:
    """Every query of the dashboard, with Grafana's variable filled in, and of every alert what it compares."""
    panels = json.loads((DEPLOY / "grafana" / "monitoring-jobs.json").read_text())["panels"]
    found = {f"{panel['title']} {target['refId']}": target["expr"] for panel in panels for target in panel["targets"]}
    alerts = re.findall(r"alert: (\w+)\s+expr: (.+)", (DEPLOY / "alerts.yml").read_text())
    filled = {name: query.replace("$__rate_interval", "1m") for name, query in found.items()}
    return {**filled, **{name: re.split(r"\s[<>=]=?\s(?!.*[<>]\s)", query)[0] for name, query in alerts}}


def test_the_figures_are_what_the_jobs_did_and_every_query_returns_data(shell: Any, prometheus: Prometheus) -> None:
    def counted(queue: str, state: str) -> float:
        return prometheus.value(f'spinbot_jobs_total{{queue="{queue}",state="{state}"}}')

    def before(queue: str, state: str) -> float:
        return start.get((queue, state), 0.0)

    states = ("completed", "failed", "cancelled", "active")
    start = {("generate", state): counted("generate", state) for state in states}
    image = ("generate", "--image", "-p", "a red robot", "--steps")
    for seed in ("1", "2"):
        shell.run(*image, "2", "--seed", seed)
    shell.run(*image, "1000", "--time-limit", "1s", expect=1)
    job = shell.run(*image, "400", "--detach").stdout.strip()
    while shell.json("status", job)["state"] != "active":
        pass
    workers = shell.json("status")["workers"]
    pid = next(worker["pid"] for worker in workers if worker["lane"] == "generate")
    os.kill(pid, signal.SIGKILL)
    shell.run("wait", job)
    assert shell.json("status", job)["attempt"] == 2
    shell.run("pause", "generate")
    cancelled = shell.run(*image, "2", "--detach").stdout.strip()
    shell.run("cancel", cancelled)
    shell.run("resume", "generate")

    def as_it_was() -> bool:
        did = {state: counted("generate", state) - before("generate", state) for state in ("completed", "failed")}
        did["cancelled"] = counted("generate", "cancelled") - before("generate", "cancelled")
        did["active"] = counted("generate", "active") - before("generate", "active")
        return did == {"completed": 3, "failed": 1, "cancelled": 1, "active": 5}

    prometheus.until(as_it_was, "the counters are not what the jobs did")
    assert prometheus.value('spinbot_worker_restarts_total{queue="generate"}') >= 1
    assert prometheus.value('bullmq_jobs_total{state="completed"}') == prometheus.value(
        'spinbot_jobs_total{state="completed"}'
    )
    for name, query in queries().items():
        found = prometheus.ask(query)
        if not any(part in query for part in WITHOUT_GPU):
            assert found, f"{name}: {query} returns nothing"


@pytest.mark.parametrize(
    "words",
    [
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
)
def test_promtool_finds_no_fault(words: tuple[str, ...]) -> None:
    done = subprocess.run(["promtool", *words], cwd=DEPLOY, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_reads_the_metrics(shell: Any) -> None:
    shell.run("daemon", "start")
    url, token = str(shell.json("daemon", "status")["url"]), shell.run("token").stdout.strip()
    request = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, (done.stdout + done.stderr).decode()
