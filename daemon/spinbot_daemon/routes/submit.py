"""POST /api/train and /api/generate."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException

from spinbot.errors import BadInput
from spinbot_daemon.answers import Answer, checked
from spinbot_daemon.inputs import MAX_FILES, Upload
from spinbot_daemon.requests import GenerateRequest, TrainRequest
from spinbot_daemon.routes.services import Use

router = APIRouter(tags=["submit"])
IdempotencyKey = Annotated[
    str | None, Header(description="the same key answers with the same job", max_length=200, pattern=r"^[\x21-\x7e]+$")
]
UPLOADS = ("files", "sample")


def body_of(schema: dict[str, Any], *, upload: bool = False, required: bool = True) -> dict[str, Any]:
    """For /docs: the body is read by hand, since JSON is read whatever its content type says."""
    content = {"application/json": {"schema": schema}}
    if upload:
        files = {"type": "array", "items": {"type": "string", "format": "binary"}}
        properties = {**schema["properties"], "files": files}
        content["multipart/form-data"] = {"schema": {**schema, "properties": properties}}
    return {"requestBody": {"required": required, "content": content}}


@router.post("/api/train", status_code=202, openapi_extra=body_of(TrainRequest.model_json_schema(), upload=True))
async def train(request: Request, use: Use, idempotency_key: IdempotencyKey = None) -> Answer:
    """Learn a voice from recordings, a look from pictures. JSON with paths on this machine, or an upload."""
    fields, uploads = await _read(request)
    try:
        asked = checked(TrainRequest, fields)
        jobs = await run_in_threadpool(use.submissions.train, asked, uploads, idempotency_key)
    finally:
        for upload in uploads:
            upload.file.close()
    ids = [job.id for job in jobs]
    return Answer({"jobId": ids[0], "status": jobs[0].state, "jobs": ids}, status_code=202)


@router.post("/api/generate", status_code=202, openapi_extra=body_of(GenerateRequest.model_json_schema()))
async def generate(request: Request, use: Use, idempotency_key: IdempotencyKey = None) -> Answer:
    """Make a talking video, or only its picture or its speech."""
    fields, uploads = await _read(request)
    if uploads:
        raise BadInput("generate takes no files", hint="train a voice or a look with them first")
    asked = checked(GenerateRequest, fields)
    job = await run_in_threadpool(use.submissions.generate, asked, idempotency_key)
    return Answer({"jobId": job.id, "status": job.state}, status_code=202)


async def _read(request: Request) -> tuple[dict[str, Any], Sequence[Upload]]:
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _read_form(request)
    return await run_in_threadpool(read_json, await request.body()), []


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises BadInput."""
    hint = """for example: {"prompt": "a red robot says \\"hello\\""}"""
    try:
        data = json.loads(body, parse_constant=_refuse_constant)
        json.dumps(data, ensure_ascii=False).encode()  # half of a surrogate pair cannot be stored
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the body is not JSON: {error}"[:300], hint=hint) from error
    if not isinstance(data, dict):
        raise BadInput("the body is not a JSON object", hint=hint)
    return data


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


async def _read_form(request: Request) -> tuple[dict[str, Any], Sequence[Upload]]:
    """Fields, and the files as spools on the disk: more than 1 MB is never held in memory."""
    try:
        form = await request.form(max_files=MAX_FILES, max_fields=100, max_part_size=1 << 20)
    except MultiPartException as error:
        raise BadInput(f"the upload cannot be read: {error.message}") from error
    fields: dict[str, Any] = {}
    uploads: list[Upload] = []
    for name, value in form.multi_items():
        if not isinstance(value, UploadFile):
            if name in fields:
                raise BadInput(f"the field {name[:60]!r} is there twice")
            fields[name] = value
        elif name in UPLOADS:
            uploads.append(Upload(value.filename or "file", value.file, named=True))
        else:
            raise BadInput(f"unknown file field {name[:60]!r}", hint=f"files go in {' or '.join(UPLOADS)}")
    if sum(not upload.name.lower().endswith(".txt") for upload in uploads) > 1:
        uploads = [replace(upload, named=False) for upload in uploads]  # as of a folder: a README is no fault
    return fields, uploads
