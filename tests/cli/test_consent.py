"""A person at a terminal is asked once who agreed; a script is not."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pexpect
import pytest

SAMPLE = Path(__file__).parents[2] / "examples" / "sample.wav"


@pytest.mark.usefixtures("gateway")
def test_consent_is_asked_on_a_terminal_and_kept_with_the_job(store):
    words = ["-m", "spinbot_cli", "train", str(SAMPLE), "--name", "asked"]
    child = pexpect.spawn(sys.executable, words, env=dict(os.environ), encoding="utf-8", timeout=30)
    child.expect("did they agree")
    child.expect("consent")
    child.sendline("Ada agreed, by letter")
    child.expect("train-[a-z0-9]{6}")
    (job,) = store.newest()
    assert job.spec.consent == "Ada agreed, by letter"
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()


@pytest.mark.usefixtures("gateway")
def test_what_is_said_is_not_asked(store):
    words = ["-m", "spinbot_cli", "train", str(SAMPLE), "--name", "said", "--consent", "mine"]
    child = pexpect.spawn(sys.executable, words, env=dict(os.environ), encoding="utf-8", timeout=30)
    child.expect("train-[a-z0-9]{6}")
    assert "did they agree" not in (child.before or "")
    (job,) = store.newest()
    assert json.loads(job.model_dump_json())["spec"]["consent"] == "mine"
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
