"""Every error spinbot raises on purpose, with the numbers that scripts and clients branch on.

SpinbotError                 exit  HTTP
├── JobFailed                  1    500
├── NoRoom                     1    507
├── BadInput                   2    422
│   ├── TooLarge               2    413
│   └── TooSlow                2    408
├── NotFound                   3    404
│   └── JobNotFound            3    404
├── NotAllowed                 4    409
│   ├── JobAlreadyOver         4    409
│   └── StaleAttempt           4    409
├── Unauthorized               4    401
├── DaemonUnreachable          5    503
├── TimedOut                 124    504
└── JobCancelled             130    409
"""

from __future__ import annotations

from typing import ClassVar


class SpinbotError(Exception):
    """What went wrong with this input, and in `hint` what to do about it."""

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class JobFailed(SpinbotError):
    """The job ran and could not do what was asked."""


class NoRoom(SpinbotError):
    """The disk of the home has less free than what is asked for writes, or cannot be written."""

    http_status = 507


class BadInput(SpinbotError):
    """Refused at the door: the message names the input, the fault and, in `hint`, the remedy."""

    exit_code = 2
    http_status = 422


class TooLarge(BadInput):
    """The body is larger than the daemon takes."""

    http_status = 413


class TooSlow(BadInput):
    """The body stopped coming."""

    http_status = 408


class NotFound(SpinbotError):
    """There is no such thing here."""

    exit_code = 3
    http_status = 404


class JobNotFound(NotFound):
    """No job of that id."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"no job {job_id!r}", hint="spinbot jobs lists the jobs the daemon knows")


class NotAllowed(SpinbotError):
    """The thing exists, but not in a state in which this can be done."""

    exit_code = 4
    http_status = 409


class JobAlreadyOver(NotAllowed):
    """A job that is over never moves again."""

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(f"{job_id} is already {state}", hint="a job that is over stays as it is")


class StaleAttempt(NotAllowed):
    """A worker spoke for an attempt that has been given to another worker."""

    def __init__(self, job_id: str, attempt: int, current: int) -> None:
        super().__init__(f"{job_id}: attempt {attempt} is over, attempt {current} counts")


class Unauthorized(SpinbotError):
    """No token, or a wrong one."""

    exit_code = 4
    http_status = 401


class DaemonUnreachable(SpinbotError):
    """Nothing answers at the socket or the URL."""

    exit_code = 5
    http_status = 503


class TimedOut(SpinbotError):
    """`--timeout` passed before the job was over."""

    exit_code = 124
    http_status = 504


class JobCancelled(SpinbotError):
    """The job was cancelled, or the user interrupted."""

    exit_code = 130
    http_status = 409
