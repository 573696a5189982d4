"""Commands as typed, on a real gateway: what goes to stdout, what to stderr, and the exit code."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pexpect
import pytest

from spinbot.jobs import Cancelled, Failed

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Make = Callable[[], Any]

pytestmark = pytest.mark.usefixtures("gateway")


def test_watching_a_finished_job_prints_its_result_alone(spinbot: Run, moved: Make) -> None:
    job = moved().begin().step(1, 2).end()
    done = spinbot("watch", job.id)
    assert (done.returncode, done.stdout) == (0, f"{job.id} /made/video.mp4\n")
    assert "Completed" in done.stderr


def test_json_is_the_wire_events_from_the_beginning(spinbot: Run, moved: Make) -> None:
    job = moved().begin().step(1, 2).step(2, 2).end()
    done = spinbot("watch", job.id, "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["state"] for event in events if event["type"] == "state"] == ["queued", "active", "completed"]
    assert [event["step"] for event in events if event["type"] == "progress"] == [1, 2]


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (Failed(error="clip 3 does not fit", hint="pass --transcript"), 1, "hint: pass --transcript"),
        (Cancelled(reason="enough"), 130, "was cancelled: enough"),
    ],
)
def test_the_exit_code_is_the_jobs(spinbot: Run, moved: Make, status: Any, code: int, said: str) -> None:
    job = moved().begin().end(status)
    for command in ("watch", "wait"):
        done = spinbot(command, job.id)
        assert done.returncode == code
        assert said in done.stderr


def test_with_several_jobs_the_worst_counts(spinbot: Run, moved: Make) -> None:
    good, bad = moved().begin().end(), moved().begin().end(Failed(error="no"))
    assert spinbot("wait", good.id).returncode == 0
    assert spinbot("wait", good.id, bad.id).returncode == 1
    assert spinbot("wait", "--any", good.id, moved().id).returncode == 0


def test_waiting_too_long_is_124_and_the_job_goes_on(spinbot: Run, moved: Make) -> None:
    job = moved().begin()
    done = spinbot("wait", job.id, "--timeout", "0.2s")
    assert done.returncode == 124
    assert job.store.get(job.id).state == "active"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("watch", "gen-222222"), 3, "no job 'gen-222222'"),
        (("generate",), 2, "the prompt is empty"),
        (("generate", "-p", "hi", "--voice", "bob"), 2, "there are: starter"),
        (("generate", "-p", "hi", "--look", "bob"), 2, "there are: starter"),
        (("generate", "-p", "x" * 50_000), 2, "50,000 characters"),
        (("generate", "-p", "你好"), 2, "Cjk script"),
        (("generate", "-p", "hi", "--image", "--audio"), 2, "--image and --audio"),
        (("train", "/no/such.wav"), 2, "/no/such.wav: no such file"),
        (("train", "/no/such.wav", "--name", "../x"), 2, "cannot be used"),
        (("watch", "x", "--timeout", "soon"), 3, "no job"),
        (("wat",), 2, "watch"),
        (("cancel",), 2, "which jobs?"),
    ],
)
def test_bad_words_are_refused_with_code_and_reason(spinbot: Run, words: tuple[str, ...], code: int, said: str) -> None:
    done = spinbot(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_detached_jobs_print_their_id_and_can_be_cancelled(spinbot: Run) -> None:
    job_id = spinbot("generate", "-p", "hello", "--detach").stdout.strip()
    assert spinbot("status", job_id).stdout.startswith(f"{job_id} queued")
    assert spinbot("cancel", job_id).stdout == f"{job_id} cancelled\n"
    assert spinbot("cancel", job_id).returncode == 4
    listed = json.loads(spinbot("jobs", "--json").stdout)["jobs"]
    assert [(job["jobId"], job["state"]) for job in listed] == [(job_id, "cancelled")]


def test_many_prompts_make_one_job_each(spinbot: Run, tmp_path: Any) -> None:
    (tmp_path / "lines.txt").write_text("one\n\ntwo\n")
    done = spinbot("generate", "--prompts-file", f"{tmp_path}/lines.txt", "--jobs-file", f"{tmp_path}/ids.txt", "-d")
    assert done.stdout == (tmp_path / "ids.txt").read_text()
    assert len(done.stdout.split()) == 2


def test_a_job_is_made_once_more_with_what_was_changed(spinbot: Run) -> None:
    first = spinbot("generate", "-p", 'a red robot says "hello"', "--seed", "7", "--fps", "12", "--image", "-d").stdout
    again = spinbot("rerun", first.strip(), "-d").stdout.strip()
    other = spinbot("rerun", first.strip(), "--seed", "8", "-d").stdout.strip()
    specs = [json.loads(spinbot("status", job, "--json").stdout)["spec"] for job in (first.strip(), again, other)]
    assert specs[1] == specs[0]
    assert specs[2] == {**specs[0], "seed": 8}


def test_queues_are_paused_and_go_on(spinbot: Run) -> None:
    assert spinbot("pause", "train").stdout == "train is paused\n"
    queues = json.loads(spinbot("status", "--json").stdout)["queues"]
    assert {queue["queue"]: queue["paused"] for queue in queues} == {"train": True, "generate": False}
    assert spinbot("resume").stdout == "train goes on\ngenerate goes on\n"


def test_a_remote_daemon_wants_its_token(spinbot: Run, gateway: Any) -> None:
    assert spinbot("jobs", SPINBOT_URL=gateway.url, SPINBOT_TOKEN=gateway.token).returncode == 0
    denied = spinbot("jobs", SPINBOT_URL=gateway.url)
    assert denied.returncode == 4
    assert gateway.token not in denied.stderr


def test_no_daemon_is_5_and_says_how_to_start_one(spinbot: Run) -> None:
    done = spinbot("jobs", SPINBOT_URL="http://127.0.0.1:9")
    assert done.returncode == 5
    assert "daemon" in done.stderr


def test_the_cli_loads_neither_models_nor_broker_and_status_not_even_rich() -> None:
    check = """
import sys, spinbot_cli.main
loaded = {"torch", "redis", "pydantic", "httpx", "websockets"} & set(sys.modules)
sys.exit(str(loaded) if loaded else 0)
"""
    assert subprocess.run([sys.executable, "-c", check], check=False, capture_output=True).returncode == 0


def in_a_terminal(*words: str, columns: int = 100, **environment: str) -> Any:
    return pexpect.spawn(
        sys.executable,
        ["-m", "spinbot_cli", *words],
        env={**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **environment},
        dimensions=(24, columns),
        encoding="utf-8",
        timeout=20,
    )


def test_a_terminal_gets_a_bar_with_the_loss_and_its_history(moved: Make) -> None:
    job = moved().begin().step(1, 4, loss=4.0).step(2, 4, loss=2.0)
    terminal = in_a_terminal("watch", job.id)
    terminal.expect("2/4")
    terminal.expect("loss 2")
    job.step(3, 4, loss=1.0).end()
    terminal.expect("Completed")
    terminal.expect("/made/video.mp4")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_ctrl_c_leaves_the_job_running_and_says_how_to_cancel_it(moved: Make) -> None:
    job = moved().begin().step(1, 4)
    terminal = in_a_terminal("watch", job.id)
    terminal.expect("1/4")
    terminal.sendintr()
    terminal.expect(f"spinbot watch {job.id}")
    terminal.expect(f"spinbot cancel {job.id}")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 130
    assert job.store.get(job.id).state == "active"


@pytest.mark.parametrize(
    ("columns", "environment"), [(40, {}), (100, {"NO_COLOR": "1"}), (100, {"LANG": "C", "PYTHONIOENCODING": "ascii"})]
)
def test_narrow_colourless_and_ascii_terminals_work(moved: Make, columns: int, environment: dict[str, str]) -> None:
    job = moved().begin().step(1, 4, loss=4.0)
    terminal = in_a_terminal("watch", job.id, columns=columns, **environment)
    terminal.expect("25%")
    job.step(2, 4, loss=3.0).end()
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0, terminal.before


def test_a_watcher_outlives_its_gateway(spinbot: Run, moved: Make, gateway: Any) -> None:
    """The connection is cut under it; it goes on after the last id, and repeats nothing."""
    job = moved().begin().step(1, 4)
    watcher = subprocess.Popen(
        [sys.executable, "-m", "spinbot_cli", "watch", job.id, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watcher.stdout is not None
    seen = [json.loads(watcher.stdout.readline()) for _ in range(4)]  # snapshot, queued, active, step 1
    assert seen[-1]["step"] == 1
    gateway.cut()
    job.step(2, 4).end()
    rest = [json.loads(line) for line in watcher.stdout]
    assert watcher.wait(30) == 0
    told = [event for event in [*seen, *rest] if event["type"] != "snapshot"]
    assert len({event["id"] for event in told}) == len(told)
    assert [event.get("step") for event in told if event["type"] == "progress"] == [1, 2]
    assert "reconnecting" in (watcher.stderr.read() if watcher.stderr else "")


def test_a_broken_pipe_is_no_traceback(moved: Make) -> None:
    job = moved().begin().step(1, 2).end()
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m spinbot_cli watch {job.id} --json | head -n 1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
