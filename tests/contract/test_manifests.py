"""Weights are loaded when they are what was trained, and lie where they seem to."""

import hashlib
from pathlib import Path

import pytest

from spinbot.errors import JobFailed
from spinbot.manifests import checked_weights


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "ada" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


SHA = hashlib.sha256(b"weights").hexdigest()


def test_what_was_trained_is_taken(weights: Path) -> None:
    assert checked_weights(weights, SHA) == weights


def test_exchanged_weights_are_refused(weights: Path) -> None:
    weights.write_bytes(b"weightz")
    with pytest.raises(JobFailed, match="not what was trained"):
        checked_weights(weights, SHA)


def test_links_are_refused(weights: Path) -> None:
    (weights.parent / "link").symlink_to(weights)
    with pytest.raises(JobFailed, match="link"):
        checked_weights(weights.parent / "link", SHA)
    other = weights.parent.parent / "eve"
    other.symlink_to(weights.parent)
    with pytest.raises(JobFailed, match="link"):
        checked_weights(other / weights.name, SHA)


def test_missing_weights_are_said(weights: Path) -> None:
    weights.unlink()
    with pytest.raises(JobFailed, match="No such file"):
        checked_weights(weights, SHA)
