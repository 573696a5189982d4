"""What is submitted, and what is refused at the door."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from spinbot.jobs import LookSpec, VoiceSpec
from spinbot.manifests import LookManifest, VoiceManifest

needs_probe = pytest.mark.skipif(
    importlib.util.find_spec("spinbot_workers.probe") is None, reason="the reader of inputs is not installed"
)


def post(gateway, path: str, **body: object):
    return gateway.http.post(f"/api/{path}", json=body)


def refused(answer, *words: str) -> None:
    assert answer.status_code == 422, answer.text
    assert answer.json()["exitCode"] == 2
    said = answer.json()["error"] + " " + answer.json()["hint"]
    for word in words:
        assert word in said


@pytest.fixture
def queued(redis_url, redis):
    client = Redis.from_url(redis_url)
    yield lambda kind: Queue(kind, connection=client, serializer=JSONSerializer).jobs
    client.close()


class TestGenerate:
    def test_is_kept_and_queued_before_it_is_answered(self, gateway, store, home, queued):
        answer = post(gateway, "generate", prompt='a red robot says "good morning"', seed=7)
        assert answer.status_code == 202
        job = store.get(answer.json()["jobId"])
        assert answer.json() == {"jobId": job.id, "status": "queued"}
        assert (job.spec.say, job.spec.scene, job.spec.seed) == ("good morning", "a red robot", 7)
        assert home.job(job.id).is_dir()
        (rq_job,) = queued("generate")
        assert (rq_job.func_name, rq_job.args, rq_job.timeout) == ("spinbot_workers.run.run_job", [job.id, 1], -1)

    @pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "text/plain", ""])
    def test_json_is_read_whatever_the_content_type_says(self, gateway, content_type):
        body = json.dumps({"prompt": "hello"}).encode()
        answer = gateway.http.post("/api/generate", content=body, headers={"content-type": content_type})
        assert answer.status_code == 202

    def test_the_seed_is_chosen_and_recorded(self, gateway, store):
        seeds = {store.get(post(gateway, "generate", prompt="hi").json()["jobId"]).spec.seed for _ in range(3)}
        assert len(seeds) == 3

    def test_the_same_key_answers_with_the_same_job(self, gateway, store):
        ids = {
            gateway.http.post("/api/generate", json={"prompt": "hi"}, headers={"Idempotency-Key": "k1"}).json()["jobId"]
            for _ in range(3)
        }
        assert len(ids) == 1
        assert len(store.newest()) == 1

    def test_the_same_key_at_the_same_time_makes_one_job_and_one_folder(self, gateway, store, home):
        answers = []

        def submit():
            answers.append(
                gateway.http.post("/api/generate", json={"prompt": "hi"}, headers={"Idempotency-Key": "k"}).json()
            )

        threads = [threading.Thread(target=submit) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len({answer["jobId"] for answer in answers}) == 1
        assert [path.name for path in home.jobs.iterdir()] == [store.newest()[0].id]

    @pytest.mark.parametrize("prompt", ["", "   ", "x" * 50_000, "a\x00b", "\x1b[31m", "😀😀", "你好"])
    def test_a_prompt_that_cannot_be_spoken_is_refused_with_the_reason(self, gateway, store, prompt):
        refused(post(gateway, "generate", prompt=prompt))
        assert store.newest() == []

    def test_emoji_among_words_are_spoken_around(self, gateway):
        assert post(gateway, "generate", prompt='a robot says "hello 😀"').status_code == 202

    def test_half_a_surrogate_pair_is_refused(self, gateway):
        refused(gateway.http.post("/api/generate", content=b'{"prompt": "a \\ud800 b"}'))

    @pytest.mark.parametrize(
        ("field", "value", "words"),
        [
            ("voice", "bob", ["no voice 'bob'", "starter", "ada"]),
            ("voice", "../ada", ["no voice"]),
            ("look", "bob", ["no look 'bob'", "starter", "rob"]),
            ("look", "rob:9", ["from 0 to 2"]),
            ("look", "rob:x", ["from 0 to 2"]),
            ("model", "sdxl", ["no model 'sdxl'", "starter"]),
            ("model", "/nowhere", ["no model"]),
            ("output", "gif", ["output", "'video', 'image' or 'audio'"]),
            ("steps", 0, ["steps"]),
            ("steps", "many", ["steps", "many"]),
            ("fps", 1000, ["fps"]),
            ("seed", -1, ["seed"]),
            ("speed", 9, ["speed"]),
            ("engine", "xtts", ["unknown field 'engine'", "prompt"]),
        ],
    )
    def test_what_is_not_there_is_refused_with_what_is(self, gateway, learned, store, field, value, words):
        refused(post(gateway, "generate", prompt="hi", **{field: value}), *words)
        assert store.newest() == []

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"seed": NaN}', b"[" * 100_000, b"\xff"])
    def test_what_is_no_json_object_is_refused(self, gateway, body):
        refused(gateway.http.post("/api/generate", content=body))

    def test_a_learned_voice_and_look_with_its_strength(self, gateway, learned, store):
        answer = post(gateway, "generate", prompt="hi", voice="ada", look="rob:0.8")
        spec = store.get(answer.json()["jobId"]).spec
        assert (spec.voice, spec.look, spec.look_scale, spec.model) == ("ada", "rob", 0.8, "starter")

    def test_the_starter_voice_may_be_named(self, gateway, store):
        answer = post(gateway, "generate", prompt="hi", voice="starter", model="org/some-model")
        spec = store.get(answer.json()["jobId"]).spec
        assert (spec.voice, spec.model) == (None, "org/some-model")


@pytest.fixture
def learned(home):
    """A voice `ada` and a look `rob`."""
    facts = {"sources": [], "steps": 1, "seed": 0, "created": 0.0, "version": "0", "weights_sha256": ""}
    voice = VoiceManifest(
        name="ada", base="starter", base_sha256="", transcript_from="text", clips_used=1, clips_left_out=0,
        sample_rate=22050, similarity=0.7, **facts,
    )  # fmt: skip
    look = LookManifest(name="rob", model="starter", captions=[], rank=8, loss=0.1, **facts)
    for folder, name, manifest in ((home.voices / "ada", "voice", voice), (home.looks / "rob", "look", look)):
        folder.mkdir(parents=True)
        (folder / f"{name}.json").write_text(manifest.model_dump_json(by_alias=True))


def test_voices_looks_and_models_are_listed(gateway, learned, home):
    voices = gateway.http.get("/api/voices").json()["voices"]
    assert [voice["name"] for voice in voices] == ["starter", "ada"]
    assert voices[1]["similarity"] == 0.7
    assert voices[1]["path"] == str(home.voices / "ada")
    assert [look["name"] for look in gateway.http.get("/api/looks").json()["looks"]] == ["starter", "rob"]
    assert gateway.http.get("/api/models").json()["models"][0]["name"] == "starter"


def test_a_voice_whose_manifest_is_broken_is_listed_with_the_fault(gateway, learned, home):
    (home.voices / "ada" / "voice.json").write_text("{")
    assert "error" in gateway.http.get("/api/voices").json()["voices"][1]
    refused(post(gateway, "generate", prompt="hi", voice="ada"), "voice.json")


def tone(path: Path, seconds: float = 6.0, *, loud: float = 0.3, rate: int = 16_000) -> Path:
    """A sound that comes and goes, so that it is not silence."""
    times = np.arange(int(seconds * rate)) / rate
    samples = loud * np.sin(2 * np.pi * 220 * times) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * times))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


def picture(path: Path) -> Path:
    from PIL import Image

    Image.effect_noise((96, 96), 80).convert("RGB").save(path)
    return path


class TestTrainIsRefused:
    """Before anything is read: these need no reader of sound."""

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({}, ["nothing to learn from"]),
            ({"inputs": []}, ["inputs"]),
            ({"sample": "/nowhere/a.wav"}, ["/nowhere/a.wav", "no such file"]),
            ({"sample": "a.wav"}, ["'a.wav'", "whole path"]),
            ({"sample": "/dev/zero"}, ["not a regular file"]),
            ({"sample": "/a\x00b"}, ["whole path"]),
            ({"sample": "/tmp/x.wav", "steps": 0}, ["steps"]),
            ({"sample": "/tmp/x.wav", "rank": 0}, ["rank"]),
            ({"sample": "/tmp/x.wav", "learningRate": 5}, ["learningRate"]),
            ({"sample": "/tmp/x.wav", "model": "nope"}, ["no model 'nope'", "starter"]),
            ({"sample": "/tmp/x.wav", "epochs": 3}, ["unknown field 'epochs'", "steps"]),
            ({"sample": "/tmp/x.wav", "maxMinutes": 0}, ["maxMinutes"]),
        ],
    )
    def test_with_the_field_and_the_fault(self, gateway, store, body, words):
        refused(gateway.http.post("/api/train", json=body), *words)
        assert store.newest() == []

    @pytest.mark.parametrize("name", ["a/b", "..", ".hidden", "x" * 300, "", "starter", "a b", "ä"])
    def test_a_name_that_is_no_name_with_the_rule(self, gateway, tmp_path, name):
        refused(post(gateway, "train", sample=str(tone(tmp_path / "a.wav")), name=name), "a name is")

    def test_an_empty_folder(self, gateway, tmp_path):
        (tmp_path / "empty").mkdir()
        refused(post(gateway, "train", sample=str(tmp_path / "empty")), "empty", "no files")

    def test_an_empty_file(self, gateway, tmp_path):
        (tmp_path / "a.wav").touch()
        refused(post(gateway, "train", sample=str(tmp_path / "a.wav")), "a.wav is empty")

    def test_words_without_sound(self, gateway, tmp_path):
        (tmp_path / "a.txt").write_text("hello")
        refused(post(gateway, "train", sample=str(tmp_path / "a.txt")), "a.txt", "neither sound nor pictures")

    def test_an_unreadable_upload(self, gateway):
        headers = {"content-type": "multipart/form-data; boundary=x"}
        answer = gateway.http.post("/api/train", content=b"nonsense", headers=headers)
        assert answer.status_code in (400, 422)
        assert set(answer.json()) == {"error", "hint", "exitCode"}

    def test_a_file_in_the_wrong_field(self, gateway):
        refused(gateway.http.post("/api/train", files={"document": ("a.wav", b"x")}), "document", "files")

    def test_nothing_is_left_behind(self, gateway, tmp_path, home):
        (tmp_path / "a.wav").touch()
        refused(post(gateway, "train", sample=str(tmp_path / "a.wav")))
        assert list(home.jobs.iterdir()) == []


@needs_probe
class TestTrain:
    def test_a_path_makes_a_voice_job_with_copies_under_our_names(self, gateway, store, home, tmp_path, queued):
        sample = tone(tmp_path / "My Sample!.wav")
        sample.with_suffix(".txt").write_text("some words")
        answer = post(gateway, "train", sample=str(sample), steps=20)
        assert answer.status_code == 202, answer.text
        job = store.get(answer.json()["jobId"])
        assert answer.json() == {"jobId": job.id, "status": "queued", "jobs": [job.id]}
        assert isinstance(job.spec, VoiceSpec)
        assert (job.spec.name, job.spec.steps) == ("My-Sample", 20)
        assert [(item.file, item.name) for item in job.spec.inputs] == [
            ("01.wav", "My Sample!.wav"),
            ("01.txt", "My Sample!.txt"),
        ]
        assert (home.job(job.id) / "inputs" / "01.wav").read_bytes() == sample.read_bytes()
        assert [rq_job.args for rq_job in queued("train")] == [[job.id, 1]]

    def test_an_upload_is_the_same(self, gateway, store, home, tmp_path):
        sample = tone(tmp_path / "a.wav").read_bytes()
        answer = gateway.http.post(
            "/api/train",
            files=[("files", ("../../evil.wav", sample)), ("files", ("../../evil.txt", b"some words"))],
            data={"name": "ada", "steps": "20"},
        )
        assert answer.status_code == 202, answer.text
        job = store.get(answer.json()["jobId"])
        assert [item.file for item in job.spec.inputs] == ["01.wav", "01.txt"]
        assert [item.name for item in job.spec.inputs] == ["evil.wav", "evil.txt"]
        assert job.spec.steps == 20
        assert sorted(path.name for path in (home.job(job.id) / "inputs").iterdir()) == ["01.txt", "01.wav"]
        assert list((home.jobs).glob(".*")) == []

    def test_a_folder_with_sound_and_pictures_makes_two_jobs(self, gateway, store, tmp_path):
        folder = tmp_path / "ada"
        folder.mkdir()
        tone(folder / "a.wav")
        for name in ("b.png", "c.png", "d.png", "e.png"):
            picture(folder / name)
        (folder / "b.txt").write_text("a robot")
        (folder / "README.md").write_text("what this is")
        answer = post(gateway, "train", inputs=[str(folder)])
        assert answer.status_code == 202, answer.text
        voice, look = (store.get(job_id) for job_id in answer.json()["jobs"])
        assert isinstance(voice.spec, VoiceSpec)
        assert isinstance(look.spec, LookSpec)
        assert voice.spec.name == look.spec.name == "ada"
        assert len(voice.spec.inputs) == 1
        assert len(look.spec.inputs) == 5

    def test_the_same_key_answers_with_the_same_jobs(self, gateway, store, tmp_path):
        body = {"sample": str(tone(tmp_path / "a.wav"))}
        first, again = (
            gateway.http.post("/api/train", json=body, headers={"Idempotency-Key": "k"}).json() for _ in range(2)
        )
        assert first == again
        assert len(store.newest()) == 1

    @pytest.mark.parametrize(
        ("content", "words"),
        [(b"this is no sound\n" * 50, ["fake.wav"]), (b"RIFF\x00\x00\x00\x00WAVE", ["fake.wav"])],
    )
    def test_what_is_no_sound_is_refused_by_the_name_its_owner_gave_it(self, gateway, store, tmp_path, content, words):
        path = tmp_path / "fake.wav"
        path.write_bytes(content)
        refused(post(gateway, "train", sample=str(path)), *words)
        assert store.newest() == []

    def test_a_folder_without_sound_or_pictures(self, gateway, tmp_path):
        folder = tmp_path / "notes"
        folder.mkdir()
        (folder / "notes.md").write_text("words")
        refused(post(gateway, "train", sample=str(folder)), "no sound")

    def test_a_truncated_file(self, gateway, tmp_path):
        whole = tone(tmp_path / "a.wav").read_bytes()
        (tmp_path / "cut.flac").write_bytes(whole[:50])
        refused(post(gateway, "train", sample=str(tmp_path / "cut.flac")), "cut.flac")

    @pytest.mark.parametrize(
        ("seconds", "loud", "words"), [(0.3, 0.3, ["3 s"]), (6, 0.0, ["a.wav"]), (150, 0.3, ["minutes"])]
    )
    def test_too_short_silent_or_too_long_is_refused_with_the_limit(self, gateway, tmp_path, seconds, loud, words):
        sample = tone(tmp_path / "a.wav", seconds, loud=loud, rate=8000)
        refused(post(gateway, "train", sample=str(sample), maxMinutes=2), *words)


class TestRoom:
    @pytest.fixture
    def asks_for_much(self, monkeypatch):
        monkeypatch.setenv("SPINBOT_MIN_FREE_MB", str(10**9))

    @pytest.fixture
    def read_only(self, home):
        home.jobs.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(home.jobs)]
        if subprocess.run(command, check=False).returncode:
            pytest.skip("a read-only folder needs the right to mount one")
        yield
        subprocess.run(["umount", "-l", str(home.jobs)], check=True)

    def test_too_little_is_refused_with_what_is_needed_and_what_is_free(self, asks_for_much, gateway, store, home):
        answer = post(gateway, "generate", prompt="hello")
        assert answer.status_code == 507
        assert re.search(r"1,000,000,020 MB are needed in /.*, [\d,.]+ MB are free", answer.json()["error"])
        assert "spinbot clean" in answer.json()["hint"]
        assert store.newest() == []
        assert list(home.jobs.iterdir()) == []

    def test_a_folder_that_cannot_be_written_is_named(self, read_only, gateway, store, home):
        answer = post(gateway, "generate", prompt="hello")
        assert answer.status_code == 507
        assert answer.json()["error"].startswith(f"Read-only file system: {home.jobs}")
        assert "mend the folder" in answer.json()["hint"]
        assert store.newest() == []
