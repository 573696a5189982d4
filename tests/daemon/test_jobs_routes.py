"""Jobs that exist: status, list, cancel, retry, log, files."""

from __future__ import annotations

import pytest

from spinbot.jobs import Completed, Failed, Input, Job, TalkSpec, VoiceSpec, new_job


def talk(prompt: str = "hello") -> Job:
    return new_job(TalkSpec(prompt=prompt, say=prompt, scene=""))


@pytest.fixture
def job(store) -> Job:
    return store.add(talk())


def test_status_of_a_queued_job(gateway, job):
    answer = gateway.http.get(f"/api/status/{job.id}").json()
    assert answer == {"jobId": job.id, "state": "queued", "progress": 0, "message": "Queued", "attempt": 1}


def test_status_says_the_result_and_the_error(gateway, store, job):
    other = store.add(talk())
    for one in (job, other):
        store.begin(one.id, 1, "w")
    store.finish(job.id, 1, Completed(result={"file": "video.mp4"}))
    store.finish(other.id, 1, Failed(error="no room", hint="make some"))
    assert gateway.http.get(f"/api/status/{job.id}").json()["result"] == {"file": "video.mp4"}
    answer = gateway.http.get(f"/api/status/{other.id}").json()
    assert (answer["error"], answer["hint"], answer["state"]) == ("no room", "make some", "failed")


@pytest.mark.parametrize("path", ["status/gen-zzzzzz", "jobs/gen-zzzzzz", "jobs/nonsense", "jobs/gen-zzzzzz/logs"])
def test_an_unknown_job_is_404_in_the_one_shape(gateway, path):
    answer = gateway.http.get(f"/api/{path}")
    assert answer.status_code == 404
    assert set(answer.json()) == {"error", "hint", "exitCode"}
    assert answer.json()["exitCode"] == 3


def test_an_unknown_route_has_the_same_shape(gateway):
    answer = gateway.http.get("/api/nothing")
    assert (answer.status_code, answer.json()["exitCode"]) == (404, 3)
    assert gateway.http.put("/api/jobs").status_code == 405


def test_jobs_are_listed_newest_first_and_filtered(gateway, store, job):
    newest = store.add(talk("a long story " * 20))
    store.cancel(job.id)
    listed = gateway.http.get("/api/jobs").json()["jobs"]
    assert [one["jobId"] for one in listed] == [newest.id, job.id]
    assert len(listed[0]["name"]) == 60
    assert [one["jobId"] for one in gateway.http.get("/api/jobs?state=cancelled").json()["jobs"]] == [job.id]
    assert gateway.http.get("/api/jobs?kind=train").json()["jobs"] == []
    assert len(gateway.http.get("/api/jobs?limit=1").json()["jobs"]) == 1


def test_a_filter_that_does_not_exist_is_refused_with_the_choices(gateway):
    answer = gateway.http.get("/api/jobs?state=done")
    assert answer.status_code == 422
    assert "state" in answer.json()["error"]
    assert "completed" in answer.json()["error"]


def test_one_job_comes_with_its_spec(gateway, job):
    answer = gateway.http.get(f"/api/jobs/{job.id}").json()
    assert answer["spec"]["prompt"] == "hello"
    assert (answer["kind"], answer["what"]) == ("generate", "talk")


def test_cancelling_a_queued_job_ends_it_and_a_second_time_is_409(gateway, job):
    answer = gateway.http.delete(f"/api/jobs/{job.id}")
    assert (answer.status_code, answer.json()) == (202, {"jobId": job.id, "state": "cancelled"})
    again = gateway.http.delete(f"/api/jobs/{job.id}")
    assert (again.status_code, again.json()["exitCode"]) == (409, 4)


def test_cancelling_an_active_job_asks_it_to_stop(gateway, store, job):
    store.begin(job.id, 1, "w")
    assert gateway.http.delete(f"/api/jobs/{job.id}").json()["state"] == "active"
    assert store.cancel_requested(job.id)


class TestRetry:
    @pytest.fixture
    def failed(self, store, home) -> Job:
        job = new_job(VoiceSpec(name="ada", inputs=(Input(file="01.wav", name="a.wav", sha256=""),)))
        folder = home.job(job.id)
        (folder / "inputs").mkdir(parents=True)
        (folder / "inputs" / "01.wav").write_bytes(b"sound")
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.pt").write_bytes(b"weights")
        store.add(job)
        store.begin(job.id, 1, "w")
        return store.finish(job.id, 1, Failed(error="no room"))

    def test_takes_over_inputs_and_checkpoints(self, gateway, store, home, failed):
        answer = gateway.http.post(f"/api/jobs/{failed.id}/retry")
        assert answer.status_code == 202
        assert answer.json()["retryOf"] == failed.id
        again = store.get(answer.json()["jobId"])
        assert again.spec == failed.spec
        assert (home.job(again.id) / "inputs" / "01.wav").read_bytes() == b"sound"
        assert (home.job(again.id) / "checkpoints" / "last.pt").read_bytes() == b"weights"

    def test_fresh_leaves_the_checkpoints(self, gateway, home, failed):
        again = gateway.http.post(f"/api/jobs/{failed.id}/retry?fresh=true").json()["jobId"]
        assert (home.job(again) / "inputs" / "01.wav").exists()
        assert not (home.job(again) / "checkpoints").exists()

    def test_of_a_job_that_goes_on_is_409(self, gateway, job):
        assert gateway.http.post(f"/api/jobs/{job.id}/retry").status_code == 409

    def test_of_a_job_that_went_well_is_409(self, gateway, store, job):
        store.begin(job.id, 1, "w")
        store.finish(job.id, 1, Completed(result={}))
        assert gateway.http.post(f"/api/jobs/{job.id}/retry").status_code == 409


def test_the_log_is_read_from_an_offset(gateway, home, job):
    assert gateway.http.get(f"/api/jobs/{job.id}/logs").text == ""
    home.job(job.id).mkdir(parents=True)
    (home.job(job.id) / "log.txt").write_text("first\nsecond\n")
    answer = gateway.http.get(f"/api/jobs/{job.id}/logs?offset=6")
    assert answer.text == "second\n"
    assert answer.headers["content-type"].startswith("text/plain")
    assert gateway.http.get(f"/api/jobs/{job.id}/logs?offset=99").text == ""


class TestFiles:
    @pytest.fixture
    def folder(self, home, job):
        folder = home.job(job.id)
        folder.mkdir(parents=True)
        (folder / "video.mp4").write_bytes(bytes(range(100)))
        return folder

    def test_are_served_whole_and_in_ranges(self, gateway, job, folder):
        url = f"/api/jobs/{job.id}/files/video.mp4"
        assert gateway.http.get(url).content == bytes(range(100))
        part = gateway.http.get(url, headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, bytes(range(10, 20)))
        assert part.headers["content-range"] == "bytes 10-19/100"

    def test_one_that_is_not_there_is_404_with_those_that_are(self, gateway, job, folder):
        answer = gateway.http.get(f"/api/jobs/{job.id}/files/speech.wav")
        assert answer.status_code == 404
        assert "video.mp4" in answer.json()["hint"]

    @pytest.mark.parametrize("name", ["../../token", "..%2f..%2ftoken", ".hidden", "inputs/01.wav", "a%00b", "%2e%2e"])
    def test_nothing_outside_the_job_is_served(self, gateway, job, folder, name):
        assert gateway.http.get(f"/api/jobs/{job.id}/files/{name}").status_code in (404, 422)

    def test_a_link_is_not_followed(self, gateway, home, job, folder):
        (folder / "link.txt").symlink_to(home.token_file)
        assert gateway.http.get(f"/api/jobs/{job.id}/files/link.txt").status_code == 404


def test_health_says_what_is_up(gateway, store):
    store.beat("w", {"lane": "train"})
    answer = gateway.http.get("/health").json()
    assert (answer["status"], answer["broker"], answer["workers"]) == ("ok", "up", 1)


def test_health_says_what_the_supervisor_found_wrong(gateway, home):
    (home.run / "problems.json").write_text('["torch is not installed"]')
    answer = gateway.http.get("/health").json()
    assert (answer["status"], answer["problems"]) == ("ok", ["torch is not installed"])


def test_metrics_count_changes_and_what_is_now(gateway, store, job):
    store.begin(job.id, 1, "w")
    text = gateway.http.get("/metrics").text
    assert 'spinbot_jobs_total{queue="generate",state="queued"} 1\n' in text
    assert 'spinbot_jobs_total{queue="generate",state="active"} 1\n' in text
    assert 'spinbot_jobs{queue="generate",state="queued"} 0\n' in text
    assert 'spinbot_jobs{queue="generate",state="active"} 1\n' in text


def test_the_docs_need_no_network(gateway):
    page = gateway.http.get("/docs").text
    assert "https://" not in page
    assert gateway.http.get("/openapi.json").json()["paths"]["/api/train"]["post"]["requestBody"]
