"""TLS on TCP: https and wss with a certificate that is verified; the unix socket stays as it is."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trustme

from spinbot.errors import BadInput
from spinbot.jobs import Completed, TalkSpec, new_job
from spinbot.settings import load_settings
from spinbot_daemon.sockets import listen_tcp


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """Its certificate is in `authority.pem`; the daemon's, for 127.0.0.1 and studio.example, is set."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    certificate = authority.issue_cert("127.0.0.1", "studio.example")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for number, part in enumerate(certificate.cert_chain_pems):
        part.write_to_path(tmp_path / "cert.pem", append=number > 0)
    monkeypatch.setenv("SPINBOT_TLS_CERT", str(tmp_path / "cert.pem"))
    monkeypatch.setenv("SPINBOT_TLS_KEY", str(tmp_path / "key.pem"))
    monkeypatch.setenv("SPINBOT_HOSTS", '["studio.example"]')
    return tmp_path / "authority.pem"


def spinbot(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "spinbot_cli", *words]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)


def test_the_command_line_reaches_a_daemon_over_https_and_wss(authority, gateway, store, tmp_path):
    job = store.add(new_job(TalkSpec(prompt="hi", say="hi", scene="")))
    store.begin(job.id, 1, "w")
    store.finish(job.id, 1, Completed(result={"file": "video.mp4"}))
    where = {"SPINBOT_URL": gateway.url, "SPINBOT_TOKEN": gateway.token, "SSL_CERT_FILE": str(authority)}
    where["SPINBOT_HOME"] = str(tmp_path / "elsewhere")
    assert gateway.url.startswith("https://127.0.0.1:")
    assert spinbot("status", job.id, "--json", **where).returncode == 0
    watched = spinbot("watch", job.id, "--json", **where)
    assert [json.loads(line)["state"] for line in watched.stdout.splitlines()][-1] == "completed", watched.stderr
    sample = Path(__file__).parents[2] / "examples" / "sample.wav"
    trained = spinbot("train", str(sample), "--name", "ada", "--detach", **where)
    assert trained.returncode == 0, trained.stderr
    assert gateway.http.get("/health").status_code == 200, "the unix socket speaks as before"


@pytest.mark.parametrize("command", [("jobs",), ("watch", "gen-aaaaaa"), ("train", "sample.wav", "--detach")])
def test_a_certificate_of_a_stranger_is_refused_with_the_remedy(authority, gateway, tmp_path, command):
    (tmp_path / "sample.wav").write_bytes(b"RIFF")
    words = [str(tmp_path / word) if word.endswith(".wav") else word for word in command]
    done = spinbot(*words, SPINBOT_URL=gateway.url, SPINBOT_TOKEN=gateway.token)
    assert done.returncode == 5, done.stderr
    assert "certificate" in done.stderr
    assert "SSL_CERT_FILE" in done.stderr
    assert "Traceback" not in done.stderr


def test_clear_text_is_not_answered(authority, gateway):
    with pytest.raises(httpx.TransportError):
        httpx.get(gateway.url.replace("https", "http") + "/health")


def test_its_name_is_served_and_no_other(authority, gateway):
    context = ssl.create_default_context(cafile=str(authority))
    headers = {"Authorization": f"Bearer {gateway.token}", "Host": "studio.example"}
    with httpx.Client(base_url=gateway.url, verify=context) as client:
        assert client.get("/api/jobs", headers=headers).status_code == 200
        assert client.get("/api/jobs", headers={**headers, "Host": "evil.example"}).status_code == 403


def test_tls_10_is_refused(authority, gateway):
    context = ssl.create_default_context(cafile=str(authority))
    context.minimum_version, context.maximum_version = ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.TLSv1_1
    with pytest.raises(httpx.TransportError):
        httpx.get(gateway.url + "/health", verify=context)


def test_with_a_certificate_it_may_listen_beyond_this_machine(authority, home, monkeypatch):
    monkeypatch.setenv("SPINBOT_HOST", "0.0.0.0")
    listen_tcp(load_settings()).close()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SPINBOT_TLS_KEY", "", "belong together"),
        ("SPINBOT_TLS_KEY", "/no/such.pem", "/no/such.pem: no such file"),
        ("SPINBOT_TLS_CERT", __file__, "no certificate and its key"),
    ],
)
def test_half_a_certificate_is_refused(authority, home, monkeypatch, name, value, said):
    if value:
        monkeypatch.setenv(name, value)
    else:
        monkeypatch.delenv(name)
    with pytest.raises(BadInput, match=said):
        listen_tcp(load_settings())
