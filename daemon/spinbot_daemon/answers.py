"""How the gateway answers: one shape for every error, and JSON that any client can read."""

from __future__ import annotations

import errno
import json
import logging
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from redis.exceptions import BusyLoadingError, RedisError, ResponseError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from spinbot.errors import BadInput, DaemonUnreachable, NoRoom, NotFound, SpinbotError

M = TypeVar("M", bound=BaseModel)

FULL = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = (*FULL, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.EIO)
"""What a disk or a folder says that cannot take what was sent."""

log = logging.getLogger(__name__)


class Answer(JSONResponse):
    """ASCII only: a lone surrogate from somebody's file name must not end in a 500."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode()


def problem(
    message: str, *, hint: str = "", exit_code: int, status: int, headers: dict[str, str] | None = None
) -> Answer:
    """`{"error", "hint", "exitCode"}`: what went wrong, what to do about it, and what the CLI ends with."""
    return Answer({"error": message, "hint": hint, "exitCode": exit_code}, status_code=status, headers=headers)


def install(app: FastAPI) -> None:
    """Every error of every kind leaves through one of these."""

    @app.exception_handler(SpinbotError)
    def ours(request: Request, error: SpinbotError) -> Response:
        return problem(str(error), hint=error.hint, exit_code=error.exit_code, status=error.http_status)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        refused = refusal(error.errors(), [])
        return problem(str(refused), hint=refused.hint, exit_code=refused.exit_code, status=refused.http_status)

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> Response:
        code = NotFound.exit_code if error.status_code == 404 else BadInput.exit_code
        message = f"{request.method} {request.url.path}: {error.detail}"
        return problem(
            message, hint="GET /docs lists what can be asked", exit_code=code, status=error.status_code,
            headers=dict(error.headers) if error.headers else None,
        )  # fmt: skip

    @app.exception_handler(RedisError)
    def broker(request: Request, error: RedisError) -> Response:
        log.error("%s %s: broker: %s", request.method, request.url.path, error)
        down = DaemonUnreachable("the broker does not answer", hint="try again; spinbot daemon status shows what is up")
        if "MISCONF" in str(error):
            full = NoRoom("the broker cannot write: is the disk full?", hint="make room, then send it again")
            return problem(str(full), hint=full.hint, exit_code=full.exit_code, status=full.http_status)
        if isinstance(error, ResponseError) and not isinstance(error, BusyLoadingError):
            return bug(request, error)  # it answered, and did not like what we said
        return problem(str(down), hint=down.hint, exit_code=down.exit_code, status=down.http_status)

    @app.exception_handler(OSError)
    def disk(request: Request, error: OSError) -> Response:
        log.error("%s %s: %s", request.method, request.url.path, error)
        if error.errno not in UNWRITABLE:
            return problem(str(error), hint="its traceback is in gateway.log", exit_code=1, status=500)
        where = f": {error.filename}" if error.filename else ""
        hint = f"{'make room' if error.errno in FULL else 'mend the folder'}, then send it again"
        return problem(f"{error.strerror}{where}", hint=hint, exit_code=1, status=507)

    @app.exception_handler(Exception)
    def bug(request: Request, error: Exception) -> Response:
        return problem(
            f"the daemon made a mistake: {type(error).__name__}", hint="its traceback is in gateway.log",
            exit_code=1, status=500,
        )  # fmt: skip


def checked(model: type[M], data: object) -> M:
    """`data` as `model`. Raises BadInput naming the field, with the valid choices."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise refusal(error.errors(), names_of(model)) from error


def names_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def refusal(errors: Any, fields: list[str]) -> BadInput:
    """The first of pydantic's errors in our words."""
    first = errors[0]
    # Specs are made by field name; the user said it in camelCase.
    where = ".".join(to_camel(str(part)) for part in first["loc"] if part not in ("body", "query", "path"))
    where = where or "the request"
    given, context = first.get("input"), first.get("ctx", {})
    match first["type"]:
        case "extra_forbidden":
            return BadInput(f"unknown field {_shown(where)}", hint=f"the fields are {', '.join(fields)}")
        case "missing":
            return BadInput(f"{where} is missing", hint=f"the fields are {', '.join(fields)}" if fields else "")
        case "literal_error" | "enum":
            return BadInput(f"{where}: {_shown(given)} is not one of {context.get('expected', '')}")
        case "value_error":  # of a validator of ours, which says what may be shown of the value
            return BadInput(f"{where} {context['error']}")
        case _:
            return BadInput(f"{where}: {first['msg']}, not {_shown(given)}")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "…"
