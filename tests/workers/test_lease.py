"""One job on a device at a time, whatever happens to the process that holds it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spinbot_workers.lease import lease

HOLD = """
import sys; from pathlib import Path; from spinbot_workers.lease import lease
with lease(Path(sys.argv[1]), "cpu", "train-aaaaaa", print):
    print("held", flush=True)
    sys.stdin.read()
"""


class GaveUp(BaseException):
    pass


def test_a_second_job_is_told_for_whom_it_waits_and_may_give_up(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        told: list[str] = []

        def waiting(job_id: str) -> None:
            told.append(job_id)
            raise GaveUp

        with pytest.raises(GaveUp), lease(tmp_path, "cpu", "gen-bbbbbb", waiting):
            pass
        assert told == ["train-aaaaaa"]
        with lease(tmp_path, "cuda:0", "gen-bbbbbb", waiting):
            pass  # another device is free

        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with lease(tmp_path, "cpu", "gen-bbbbbb", waiting):
            pass  # the lock went with its process
