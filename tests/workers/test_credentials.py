"""Content Credentials: signed with the user's certificate, read back by `spinbot inspect`, broken by any change."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from certificates import for_signing
from cryptography.x509.oid import ExtendedKeyUsageOID
from PIL import Image

from spinbot.errors import BadInput, JobFailed
from spinbot.settings import load_settings
from spinbot_cli.provenance import credentials, provenance
from spinbot_workers import credentials as module
from spinbot_workers.credentials import signer
from spinbot_workers.generate import Label, _write_png, _write_wav
from spinbot_workers.video.mp4 import write_mp4
from spinbot_workers.voice.speak import Speech

COMMENT = json.dumps({"tool": "spinbot 0", "voice": "ada"})


@pytest.fixture
def certificate(home, tmp_path, monkeypatch):
    chain, key = for_signing(tmp_path)
    monkeypatch.setenv("SPINBOT_C2PA_CERT", str(chain))
    monkeypatch.setenv("SPINBOT_C2PA_KEY", str(key))
    return chain, key


def made(path: Path, label: Label) -> Path:
    sound = Speech(np.sin(np.arange(22050, dtype=np.float32) / 10), 22050, [])
    picture = Image.effect_noise((64, 64), 50).convert("RGB")
    match path.suffix:
        case ".png":
            _write_png(path, picture, label)
        case ".wav":
            _write_wav(path, sound, label)
        case ".mp4":
            write_mp4(path, [picture] * 10, sound.samples, fps=25, sample_rate=22050, metadata={"comment": COMMENT})
            label.sign(path)
    return path


@pytest.mark.parametrize("name", ["portrait.png", "speech.wav", "video.mp4"])
def test_it_is_signed_and_any_change_shows(certificate, tmp_path, name):
    path = made(tmp_path / name, Label(COMMENT, signer(load_settings())))
    said = credentials(path)
    assert (said["state"], said["signer"], said["issuer"]) == ("valid", "Ada", "Tests")
    assert said["generator"].startswith("spinbot ")
    assert provenance(path)["voice"] == "ada", "the comment stays readable"
    assert path.suffix != ".mp4" or path.read_bytes().index(b"moov") < path.read_bytes().index(b"mdat")
    assert [each.name for each in tmp_path.glob("*signed*")] == []
    whole = bytearray(path.read_bytes())
    place = whole.index({".png": b"IDAT", ".wav": b"data", ".mp4": b"mdat"}[path.suffix]) + 200
    whole[place] ^= 1
    path.write_bytes(whole)
    assert credentials(path)["state"] == "invalid"


def test_inspect_shows_who_signed(certificate, tmp_path):
    path = made(tmp_path / "speech.wav", Label(COMMENT, signer(load_settings())))
    done = subprocess.run([sys.executable, "-m", "spinbot_cli", "inspect", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Ada" in done.stdout
    assert "unchanged since it was signed" in done.stdout


def test_without_a_certificate_nothing_is_signed(home, tmp_path):
    path = made(tmp_path / "speech.wav", Label(COMMENT, signer(load_settings())))
    assert credentials(path) is None
    assert provenance(path)["voice"] == "ada"


def test_a_certificate_that_may_not_sign_fails_before_anything_is_made(home, tmp_path, monkeypatch):
    chain, key = for_signing(tmp_path, ExtendedKeyUsageOID.SERVER_AUTH)
    monkeypatch.setenv("SPINBOT_C2PA_CERT", str(chain))
    monkeypatch.setenv("SPINBOT_C2PA_KEY", str(key))
    with pytest.raises(JobFailed, match="does not sign") as failed:
        signer(load_settings())
    assert "docs/provenance.md" in failed.value.hint


@pytest.mark.parametrize("content", [None, b"no key", Path(__file__).read_bytes()])
def test_a_key_that_is_none_is_named(certificate, content):
    chain, key = certificate
    key.unlink()
    if content is not None:
        key.write_bytes(content)
    with pytest.raises(JobFailed) as failed:
        signer(load_settings())
    assert str(chain) in str(failed.value)


def test_a_certificate_without_its_key_is_refused(certificate, monkeypatch):
    monkeypatch.delenv("SPINBOT_C2PA_KEY")
    with pytest.raises(BadInput, match="belong together"):
        load_settings()


def test_without_the_library_it_is_said(certificate, monkeypatch, tmp_path):
    path = made(tmp_path / "speech.wav", Label(COMMENT, signer(load_settings())))
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert credentials(path) == {"state": "unknown"}
    with pytest.raises(JobFailed) as failed:
        module.signer(load_settings())
    assert "spinbot[c2pa]" in failed.value.hint
