"""Weights from strangers: nothing of theirs is ever run."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from safetensors import SafetensorError
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for folder in ("spinbot", "cli", "daemon", "workers") for path in (ROOT / folder).rglob("*.py"))


def calls() -> list[tuple[str, ast.Call]]:
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    ]


def option(call: ast.Call, name: str) -> object:
    value = next((word.value for word in call.keywords if word.arg == name), None)
    return value.value if isinstance(value, ast.Constant) else value


def test_there_is_something_to_look_at() -> None:
    assert len(calls()) > 1000


def test_no_code_from_the_hub_is_trusted() -> None:
    assert [where for where, call in calls() if option(call, "trust_remote_code") not in (None, False)] == []


def test_every_torch_load_reads_tensors_only() -> None:
    loads = [(where, call) for where, call in calls() if ast.unparse(call.func) == "torch.load"]
    assert loads
    assert [where for where, call in loads if option(call, "weights_only") is not True] == []


def test_nothing_is_unpickled() -> None:
    named = {"pickle.load", "pickle.loads", "joblib.load", "dill.load", "torch.jit.load", "eval", "exec"}
    assert [where for where, call in calls() if ast.unparse(call.func) in named] == []
    assert [where for where, call in calls() if option(call, "allow_pickle") is True] == []


def test_no_shell_is_started() -> None:
    assert [where for where, call in calls() if option(call, "shell") is True] == []
    assert [where for where, call in calls() if ast.unparse(call.func) in {"os.system", "os.popen"}] == []


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 8 + b"{}",
        (1 << 40).to_bytes(8, "little") + b"{}",
        (90).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[9999],"data_offsets":[0,4]}}'.ljust(90) + bytes(4),
        b"\x80\x04pickle",
    ],
    ids=["a header of 2^64", "a header of 2^40", "a shape that is not there", "a pickle"],
)  # fmt: skip
def test_a_lying_safetensors_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(SafetensorError):
        load_file(path)
