"""One job, from the queue to its end: the one place where a job's errors are caught."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

from pydantic import JsonValue
from redis.exceptions import ConnectionError as BrokerDown
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as BrokerSlow

from spinbot import logs
from spinbot.errors import NotAllowed, NotFound, SpinbotError
from spinbot.files import DiskFull, megabytes
from spinbot.jobs import Cancelled, Completed, Failed, Job, LookSpec, Queued, Status, TalkSpec, VoiceSpec
from spinbot.store import PARKED
from spinbot_workers.lease import lease
from spinbot_workers.report import StopRequested
from spinbot_workers.reporter import Reporter
from spinbot_workers.warm import Warm, current

LEAVING = "the worker was asked to leave; the job goes on from its checkpoint"
LESS_MEMORY = "shorter input, a smaller --model or fewer --steps need less; SPINBOT_MAX_RSS_MB is the worker's limit"

MEND = "make room or mend the folder, then: spinbot retry "

log = logging.getLogger(__name__)


def run_job(job_id: str, attempt: int) -> None:
    """What RQ calls. Everything else about the job is read from the store."""
    warm = current()
    try:
        job = warm.store.begin(job_id, attempt, warm.name)
    except (NotAllowed, NotFound) as error:
        log.info("%s attempt %d is not mine to run: %s", job_id, attempt, error)
        return
    logs.trace.set(job.trace or "")
    logs.job.set(job_id)
    for half in warm.home.job(job_id).glob(".*"):  # what an attempt that was killed was writing
        with contextlib.suppress(OSError):  # a folder that cannot be written is said when the job writes there
            half.unlink()
    with job_log(warm.home.job(job_id) / "log.txt"):
        log.info("%s attempt %d on %s", job_id, attempt, warm.device)
        run(warm, job)


def run(warm: Warm, job: Job) -> None:
    """Run a job that has begun, and say how it ended."""
    plan, body = _body(job)

    def abandon(reason: str) -> None:
        # Only here can a job that no longer looks at its flag be ended: with its process.
        log.error("%s did not stop in %g s; this process ends", job.id, warm.settings.stop_grace)
        if not warm.leaving:
            _end(warm, job, _stopped(warm, job, reporter, f"{reason} (its process had to be ended)"))
        os._exit(75)

    reporter = Reporter(
        warm.store,
        job,
        plan,
        per_second=warm.settings.progress_per_second,
        grace=warm.settings.stop_grace,
        abandon=abandon,
    )
    warm.reporter, warm.job_id, warm.attempt = reporter, job.id, job.attempt
    try:
        status = _perform(warm, job, body, reporter)
    finally:
        warm.reporter, warm.job_id = None, ""
        reporter.close()
        with contextlib.suppress(BrokerDown, BrokerSlow):  # figures are not worth a job
            warm.store.count_up({f"steps:{warm.lane}": reporter.take_steps()})
    if reporter.superseded:
        log.warning("%s: %s; its result is dropped", job.id, reporter.stop_reason)
        return
    _end(warm, job, status)


def _perform(warm: Warm, job: Job, body: Body, reporter: Reporter) -> Status:
    try:
        with lease(warm.home.leases, warm.device, job.id, _waiting(reporter, warm.device)):
            return Completed(result=body(warm, job, reporter))
    except StopRequested:
        log.info("%s stopped: %s", job.id, reporter.stop_reason)
        return _stopped(warm, job, reporter, reporter.stop_reason)
    except SpinbotError as error:
        log.error("%s failed: %s", job.id, error, exc_info=error.__cause__)
        return Failed(error=str(error), hint=error.hint)
    except OSError as error:
        log.exception("%s failed", job.id)
        return Failed(error=_os_error(error), hint=MEND + job.id)
    except Exception as error:  # the edge: a traceback goes to the log, its last line to the user
        log.exception("%s failed", job.id)
        if _is_out_of_memory(error):
            warm.worn = True
            return Failed(error=f"out of memory on {warm.device}: {str(error).splitlines()[0]}", hint=LESS_MEMORY)
        last = traceback.format_exception_only(error)[-1].strip()
        return Failed(error=last, hint=f"spinbot logs {job.id} has the traceback")


def _stopped(warm: Warm, job: Job, reporter: Reporter, reason: str) -> Status:
    """What a job that was asked to stop is then, however it had to be stopped."""
    if warm.leaving or reporter.stop_reason == PARKED:
        return Queued(reason=LEAVING if warm.leaving else PARKED)
    if reporter.timed_out:
        return Failed(error=reason, hint=f"spinbot retry {job.id} goes on from its checkpoint")
    return Cancelled(reason=reason)


def _waiting(reporter: Reporter, device: str) -> Callable[[str], None]:
    told: list[str] = []

    def waiting(holder: str) -> None:
        reporter.check()
        if told != [holder]:
            told[:] = [holder]
            reporter.note(f"waiting for {holder} on {device}")

    return waiting


def _end(warm: Warm, job: Job, status: Status) -> None:
    """Write the end, as long as it takes: a broker that is down comes back, and this must not be lost."""
    pause = 0.1
    while True:
        try:
            if isinstance(status, Queued):
                warm.store.requeue(job.id, job.attempt, status.reason)
            else:
                warm.store.finish(job.id, job.attempt, status)
            log.info("%s %s", job.id, status.state)
            return
        except (NotAllowed, NotFound) as error:
            log.warning("%s: %s", job.id, error)
            return
        except (BrokerDown, BrokerSlow, ResponseError) as error:
            log.warning("%s: the broker does not take the end of the job: %s", job.id, error)
            time.sleep(pause)
            pause = min(2 * pause, 5.0)


Body = Callable[[Warm, Job, Reporter], dict[str, JsonValue]]


def _body(job: Job) -> tuple[dict[str, float], Body]:
    """The plan and the function for this kind of job; torch is loaded by the first that needs it."""
    match job.spec:
        case VoiceSpec():
            from spinbot_workers import train

            return train.VOICE_PLAN, train.voice
        case LookSpec():
            from spinbot_workers import train

            return train.LOOK_PLAN, train.look
        case TalkSpec():
            from spinbot_workers import generate

            return generate.PLANS[job.spec.output], generate.talk


def fail_now(warm: Warm, error: str) -> None:
    """End the job this process is at, from another thread than its own."""
    if warm.job_id:
        log.error("%s failed: %s", warm.job_id, error)
        _end(warm, warm.store.get(warm.job_id), Failed(error=error, hint=LESS_MEMORY))


def _is_out_of_memory(error: Exception) -> bool:
    """torch has a class for CUDA's; what its CPU allocator says is a plain RuntimeError."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def _os_error(error: OSError) -> str:
    """What and where; of a full disk how much is free."""
    where = f": {error.filename}" if error.filename else ""
    room = ""
    if error.errno == errno.ENOSPC and error.filename and not isinstance(error, DiskFull):
        with contextlib.suppress(OSError):  # its folder is gone as well
            room = f" ({megabytes(shutil.disk_usage(Path(str(error.filename)).parent).free)} are free)"
    return f"{error.strerror or error}{where}{room}"


@contextlib.contextmanager
def job_log(path: Path) -> Iterator[None]:
    """Everything logged or printed goes to `path` as well, for as long as the block runs."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a", buffering=1, encoding="utf-8")
    except OSError as error:
        log.error("no log for this job: %s", _os_error(error))
        yield
        return
    with file:
        handler = logging.StreamHandler(_Forgiving(file))
        handler.setFormatter(logs.formatter("text"))  # for the one who watches the job, whatever the daemon logs
        logging.getLogger().addHandler(handler)
        try:
            with contextlib.redirect_stdout(_Forgiving(file)), contextlib.redirect_stderr(_Forgiving(file)):
                yield
        finally:
            logging.getLogger().removeHandler(handler)


class _Forgiving:
    """A text stream whose writes may fail (disk full): a log line is not worth the job."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._file.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)
