"""From a request to a job: everything is checked and on the disk before it is answered with 202."""

from __future__ import annotations

import logging
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError
from redis.exceptions import RedisError

from spinbot import logs
from spinbot.errors import BadInput, NoRoom, NotAllowed
from spinbot.files import megabytes
from spinbot.jobs import Input, Job, LookSpec, TalkSpec, VoiceSpec, new_job
from spinbot.names import checked_name
from spinbot.prompt import read_prompt
from spinbot.settings import Settings
from spinbot.store import JobStore
from spinbot_daemon.after import checked_after, may_run, training_of
from spinbot_daemon.again import talk_again, training_again
from spinbot_daemon.answers import names_of, refusal
from spinbot_daemon.catalogue import STARTER, Catalogue
from spinbot_daemon.inputs import Source, gather, link_file, link_tree, stage, staged_at, sync_folder, with_words
from spinbot_daemon.probing import Found, probe
from spinbot_daemon.requests import PLACEHOLDER, GenerateRequest, Steered, TrainRequest
from spinbot_daemon.transport import Transport

INCOMING = ".incoming-"
KEPT_FILES = ("checkpoints",)
WRITES = {"voice": 700_000_000, "look": 150_000_000, "talk": 20_000_000}
"""Bytes a job has on the disk at once: a voice's checkpoint, the next one beside it, and the voice."""

log = logging.getLogger(__name__)


class Submissions:
    """Makes jobs.

    Args:
        durable: returns once what was written to the broker is on its disk.
    """

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        transport: Transport,
        catalogue: Catalogue,
        durable: Callable[[], None],
    ) -> None:
        self._settings = settings
        self._home = settings.folders
        self._store = store
        self._transport = transport
        self._catalogue = catalogue
        self._durable = durable
        self.awaited: set[str] = set()
        """Jobs that others were submitted to run after."""

    def generate(self, request: GenerateRequest, key: str | None = None) -> Job:
        """Raises BadInput."""
        if key and (known := self._store.known(f"generate:{key}")):
            return known
        request, spec = self._talk(request)
        return self._submit(spec, f"generate:{key}" if key else None, lambda folder: None, asked=request)

    def train(self, request: TrainRequest, uploads: Sequence[Source] = (), key: str | None = None) -> list[Job]:
        """One job for sound, one for pictures. Raises BadInput, TooLarge, OSError."""
        if key and (known := self._known_trainings(key)):
            return known
        name = self._checked(request, uploads)
        sources: Sequence[Source] = uploads or gather(request.paths)
        self._home.jobs.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._home.jobs, prefix=INCOMING) as incoming:
            folder = Path(incoming)
            staged = stage(sources, folder, limit=self._settings.max_upload_mb << 20)
            minutes = request.max_minutes or self._settings.max_minutes
            found = probe(folder, {item.file: item.name for item in staged}, max_minutes=minutes)
            specs = self._specs(request, name, staged, found, minutes)
            return [
                self._submit(spec, f"train:{key}:{turn}" if key else None, _taking(folder, spec.inputs), asked=request)
                for turn, spec in enumerate(specs)
            ]

    def retry(self, job: Job, *, fresh: bool = False) -> Job:
        """A new job for the same spec, with the inputs and, unless `fresh`, the checkpoints of `job`.

        Raises:
            NotAllowed: it has not ended, or ended well.
        """
        if not job.is_over:
            raise NotAllowed(f"{job.id} is {job.state}", hint="only a job that is over can be tried again")
        if job.state == "completed":
            raise NotAllowed(f"{job.id} is completed", hint="submit it anew to make another")
        old = self._home.job(job.id)

        def take_over(folder: Path) -> None:
            for name in ("inputs", *(() if fresh else KEPT_FILES)):
                if (old / name).is_dir():
                    link_tree(old / name, folder / name)

        asked = Steered(webhook=job.webhook)
        return self._submit(job.spec, None, take_over, asked=asked, retry_of=job.id)

    def rerun(self, job: Job, changes: dict[str, Any], key: str | None = None) -> Job:
        """A new job for the same spec with `changes`, fields of a request; a training begins at its first step.

        Raises:
            BadInput: what was changed does not fit the job.
        """
        if isinstance(job.spec, TalkSpec):
            return self.generate(talk_again(job.spec, changes), key)
        if key and (known := self._store.known(f"rerun:{key}")):
            return known
        asked, spec = training_again(job.spec, changes)
        if isinstance(spec, LookSpec):
            spec = spec.model_copy(update={"model": self._catalogue.model(spec.model)})
        inputs = self._home.job(job.id) / "inputs"
        if not inputs.is_dir():
            raise NotAllowed(f"the inputs of {job.id} are gone", hint="spinbot train takes them again")

        def take(folder: Path) -> None:
            link_tree(inputs, folder / "inputs")

        return self._submit(spec, f"rerun:{key}" if key else None, take, asked=asked)

    # -- checks

    def _talk(self, request: GenerateRequest) -> tuple[GenerateRequest, TalkSpec]:
        """The spec, and the request with the training it has to wait for when its voice or look is being learned."""
        script = read_prompt(request.prompt, request.say)
        look, scale = _look_and_scale(request.look)
        request, voice = self._learned("voice", request.voice, request)
        request, look = self._learned("look", look, request)
        learned_on = self._learned_on(look)
        model = self._catalogue.model(request.model or learned_on)
        if look and learned_on != model:
            raise BadInput(
                f"the look {look} was learned on {learned_on}, not on {model}", hint=f"pass model {learned_on}"
            )
        try:
            spec = request.talk(
                say=script.say,
                scene=script.scene,
                voice=voice,
                look=look,
                look_scale=scale,
                model=model,
                seed=secrets.randbelow(2**32) if request.seed is None else request.seed,
            )
        except ValidationError as error:
            raise refusal(error.errors(), names_of(GenerateRequest)) from error
        return request, spec

    def _learned(
        self, what: Literal["voice", "look"], name: str | None, request: GenerateRequest
    ) -> tuple[GenerateRequest, str | None]:
        """`name` when it is there; when it is still being learned, `request` runs after that training."""
        find = self._catalogue.voice if what == "voice" else self._catalogue.look
        training = training_of(self._store, what, name) if name and request.after is None else None
        if name is None:
            return request, None
        try:
            found = find(name)
        except BadInput:
            if training is None:
                raise
            return request.model_copy(update={"after": training.id}), name
        return request, found.name if found else None

    def _learned_on(self, look: str | None) -> str:
        """The model of the look, which may still be in training."""
        if look is None:
            return STARTER
        try:
            manifest = self._catalogue.look(look)
        except BadInput:
            training = training_of(self._store, "look", look)
            if training is None or not isinstance(training.spec, LookSpec):
                raise
            return training.spec.model
        return manifest.model if manifest else STARTER

    def _checked(self, request: TrainRequest, uploads: Sequence[Source]) -> str:
        """The name to learn under, everything else in `request` being in range."""
        if request.paths and uploads:
            raise BadInput("both uploaded files and paths", hint="send one or the other")
        if not request.paths and not uploads:
            raise BadInput("nothing to learn from", hint='pass "inputs": ["/path/to/sample.wav"], or upload files')
        first = request.paths[0] if request.paths else uploads[0].name
        name = _name_from(first) if request.name is None else checked_name(request.name)
        if request.model is not None:
            self._catalogue.model(request.model)
        try:
            request.voice(name, PLACEHOLDER, request.max_minutes or self._settings.max_minutes)
            request.look(name, PLACEHOLDER)
        except ValidationError as error:
            raise refusal(error.errors(), names_of(TrainRequest)) from error
        return name

    def _specs(
        self, request: TrainRequest, name: str, staged: list[Input], found: Found, minutes: float
    ) -> list[VoiceSpec | LookSpec]:
        specs: list[VoiceSpec | LookSpec] = []
        if found.audio:
            specs.append(request.voice(name, with_words(staged, found.audio), minutes))
        if found.pictures:
            look = request.look(name, with_words(staged, found.pictures))
            specs.append(look.model_copy(update={"model": self._catalogue.model(look.model)}))
        if not specs:
            shown = ", ".join(item.name for item in staged[:5])
            raise BadInput(f"neither sound nor pictures in {shown}", hint="pass recordings or pictures")
        return specs

    def _known_trainings(self, key: str) -> list[Job]:
        found = (self._store.known(f"train:{key}:{turn}") for turn in range(2))
        return [job for job in found if job is not None]

    # -- the one way in

    def _submit(
        self,
        spec: VoiceSpec | LookSpec | TalkSpec,
        key: str | None,
        fill: Callable[[Path], None],
        *,
        asked: Steered | None = None,
        retry_of: str | None = None,
    ) -> Job:
        """Folder, record, queue entry, in this order, all on the disk when it returns."""
        self._check_room(spec.kind)
        asked = asked or Steered()
        after = checked_after(self._store, asked.after) if asked.after else None
        job = new_job(
            spec, retry_of=retry_of, after=after, first=asked.first, timeout=asked.timeout, webhook=asked.webhook
        )
        if after:
            self.awaited.add(after)
        job = job.model_copy(update={"trace": logs.trace.get() or None, "asked": logs.asked.get()})
        while self._home.job(job.id).exists():
            job = job.model_copy(update={"id": new_job(spec).id})
        self._make_folder(job, fill)
        kept = self._add(job, key)
        if kept.id != job.id:
            shutil.rmtree(self._home.job(job.id))  # the same key at the same time: the other request was first
            return kept
        try:
            if may_run(self._store, job):
                self._transport.enqueue(job)
        except RedisError as error:  # the record is kept, and the supervisor enqueues what is in no queue
            log.warning("%s is not in its queue yet: %s", job.id, error)
        self._durable()
        log.info("%s is taken in: %s", job.id, spec.kind)
        return job

    def _check_room(self, kind: str) -> None:
        """Before hours of training end at a full disk. Raises NoRoom with what is needed and what is free."""
        if not self._settings.min_free_mb:
            return
        self._home.jobs.mkdir(parents=True, exist_ok=True)
        needed = self._settings.min_free_mb * 1_000_000 + WRITES[kind]
        free = shutil.disk_usage(self._home.jobs).free
        if free < needed:
            raise NoRoom(
                f"{megabytes(needed)} are needed in {self._home.root}, {megabytes(free)} are free",
                hint="spinbot clean makes room; SPINBOT_MIN_FREE_MB=0 does not ask",
            )

    def _make_folder(self, job: Job, fill: Callable[[Path], None]) -> None:
        self._home.jobs.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=self._home.jobs, prefix=INCOMING))
        try:
            fill(folder)
            folder.rename(self._home.job(job.id))
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        sync_folder(self._home.jobs)

    def _add(self, job: Job, key: str | None) -> Job:
        try:
            return self._store.add(job, idempotency_key=key)
        except NotAllowed:
            # The id was free a moment ago: our own first try, cut off before we heard its answer, has taken it.
            if self._store.get(job.id) == job:
                return job
            raise


def _taking(incoming: Path, inputs: tuple[Input, ...]) -> Callable[[Path], None]:
    """What is shared by two jobs (words beside a sound and a picture) is linked into both."""

    def take(folder: Path) -> None:
        target = folder / "inputs"
        target.mkdir()
        for item in inputs:
            link_file(staged_at(incoming, item), target / item.file)
        sync_folder(target)

    return take


def _look_and_scale(text: str | None) -> tuple[str | None, float]:
    if text is None:
        return None, 1.0
    name, colon, scale = text.partition(":")
    try:
        number = float(scale) if colon else 1.0
    except ValueError:
        number = -1.0
    if not 0 <= number <= 2:
        raise BadInput(f"look {text[:100]!r}: its strength is not a number from 0 to 2", hint="for example ada:0.8")
    return name, number


def _name_from(first: str) -> str:
    """A name that fits the rule, from what the first file is called."""
    stem = Path(first.replace("\\", "/").rstrip("/")).stem
    fitted = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip("-_.").rstrip("-_.")[:64].rstrip(".")
    try:
        return checked_name(fitted)
    except BadInput as error:
        raise BadInput(f"no name can be made from {stem[:60]!r}", hint="pass a name") from error
