"""What Prometheus reads: parsed by its own client library, compared with what the jobs did."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from spinbot.jobs import Completed, Failed, Job, TalkSpec, new_job
from spinbot.store import JobStore
from spinbot.tally import observed


def values(text: str) -> dict[str, float]:
    """`name{label="value",...}` -> value, labels in order of their names."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
    return found


def worked(store: JobStore, status: Completed | Failed, *, seconds: float) -> Job:
    job = store.add(new_job(TalkSpec(prompt="x", say="x", scene="x")))
    begun = store.begin(job.id, 1, "w")
    assert begun.started is not None
    return store.finish(job.id, 1, status.model_copy(update={"since": begun.started + seconds}))


def test_histograms_count_how_long_jobs_took_by_their_outcome(gateway: Any, store: JobStore) -> None:
    worked(store, Completed(result={}), seconds=3)
    worked(store, Completed(result={}), seconds=40)
    worked(store, Failed(error="no"), seconds=1)
    read = values(gateway.http.get("/metrics").text)
    completed = 'outcome="completed",queue="generate"'
    name = "spinbot_job_duration_seconds"
    assert read[f'{name}_bucket{{le="2",{completed}}}'] == 0
    assert read[f'{name}_bucket{{le="5",{completed}}}'] == 1
    assert read[f'{name}_bucket{{le="+Inf",{completed}}}'] == read[f"{name}_count{{{completed}}}"] == 2
    assert abs(read[f"{name}_sum{{{completed}}}"] - 43) < 1e-3
    assert read['spinbot_job_wait_seconds_count{queue="generate"}'] == 3
    assert read["bullmq_job_duration_seconds_count"] == 3


def test_the_originals_names_count_over_all_queues(gateway: Any, store: JobStore) -> None:
    worked(store, Completed(result={}), seconds=1)
    worked(store, Failed(error="no"), seconds=1)
    read = values(gateway.http.get("/metrics").text)
    counted = {state: read[f'bullmq_jobs_total{{state="{state}"}}'] for state in ("queued", "active", "completed")}
    assert counted == {"queued": 2, "active": 2, "completed": 1}


def test_a_job_that_is_lost_and_queued_again_is_in_one_state_at_a_time(
    gateway: Any, store: JobStore, eventually: Callable[..., Any]
) -> None:
    job = store.add(new_job(TalkSpec(prompt="x", say="x", scene="x")))
    store.begin(job.id, 1, "w")
    store.lost(job.id, 1, "the worker died")
    read = values(gateway.http.get("/metrics").text)
    now = {state: read[f'spinbot_jobs{{queue="generate",state="{state}"}}'] for state in ("queued", "active", "failed")}
    assert now == {"queued": 1, "active": 0, "failed": 0}
    assert read['spinbot_jobs_total{queue="generate",state="queued"}'] == 2


OPENMETRICS = {"Accept": "application/openmetrics-text"}


def test_openmetrics_has_the_newest_job_of_a_bucket_as_its_exemplar(gateway: Any, store: JobStore) -> None:
    job = worked(store, Completed(result={}), seconds=3)
    answer = gateway.http.get("/metrics", headers=OPENMETRICS)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    exemplars = [
        sample.exemplar
        for family in openmetrics_families(answer.text)  # type: ignore[no-untyped-call]
        if family.name == "spinbot_job_duration_seconds"
        for sample in family.samples
        if sample.exemplar
    ]
    assert [(found.labels, found.value) for found in exemplars] == [({"job_id": job.id}, 3.0)]


def test_no_job_is_in_a_label(gateway: Any, store: JobStore) -> None:
    job = worked(store, Completed(result={}), seconds=3)
    assert job.id not in gateway.http.get("/metrics").text


def test_messages_watchers_steps_restarts_and_the_machine_are_there(gateway: Any, store: JobStore) -> None:
    store.beat("generate-a", {"lane": "generate", "rssMb": "10"})
    store.count_up({"steps:generate": 7, "restarts:generate": 1, **observed("load:voice", 2.0)})
    job = worked(store, Completed(result={}), seconds=1)
    with gateway.watch(f"?jobId={job.id}&after=0") as watcher:
        list(watcher)
    read = values(gateway.http.get("/metrics").text)
    assert read['websocket_messages_total{type="snapshot"}'] == 1
    assert read['websocket_messages_total{type="state"}'] == 3
    assert read['spinbot_steps_total{queue="generate"}'] == 7
    assert read['spinbot_worker_restarts_total{queue="generate"}'] == 1
    assert read['spinbot_worker_resident_bytes{queue="generate"}'] == 10 << 20
    assert read['spinbot_model_load_seconds_count{model="voice"}'] == 1
    assert read["spinbot_disk_free_bytes"] > 0
    assert read["process_resident_memory_bytes"] > 0


def test_what_waits_and_what_is_silent_is_told_in_seconds(gateway: Any, store: JobStore) -> None:
    job = new_job(TalkSpec(prompt="x", say="x", scene="x"))
    store.add(job.model_copy(update={"created": job.created - 100}))
    read = values(gateway.http.get("/metrics").text)
    assert 99 < read['spinbot_oldest_queued_seconds{queue="generate"}'] < 160
    assert read['spinbot_last_progress_seconds{queue="generate"}'] == 0


def test_the_documented_metrics_are_those_that_are_there(gateway: Any, store: JobStore) -> None:
    device = {"deviceUsedMb": "1", "deviceTotalMb": "2", "deviceBusyPercent": "40"}
    store.beat("generate-a", {"lane": "generate", "rssMb": "10", **device})
    text = gateway.http.get("/metrics").text
    exposed = {line.split()[2]: line.split()[3] for line in text.splitlines() if line.startswith("# TYPE")}
    ours = {name: kind for name, kind in exposed.items() if not name.startswith("process_")}
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", page, flags=re.MULTILINE))
    assert documented == ours
    assert values(text)['spinbot_device_utilization_ratio{queue="generate"}'] == 0.4
