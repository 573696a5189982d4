"""Talking to the daemon, on the standard library alone: a command that asks one question starts in no time."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from spinbot import __version__, errors
from spinbot.errors import DaemonUnreachable, SpinbotError
from spinbot.home import Home
from spinbot_cli.say import tell

START_WITHIN = 60.0
"""Seconds a daemon has to come up; reading back a large log takes a while."""
ANSWER_WITHIN = 300.0
"""Seconds for an answer: half an hour of audio is read through before its job is made."""
TRIES = 5


class Client:
    """The daemon of `SPINBOT_URL` (with `SPINBOT_TOKEN`), else the one of this home, over its unix socket."""

    def __init__(self, home: Home | None = None, *, within: float = ANSWER_WITHIN) -> None:
        self._within = within
        self.home = home or Home()
        self.url = os.environ.get("SPINBOT_URL", "").rstrip("/")
        self.token = os.environ.get("SPINBOT_TOKEN", "")

    @property
    def is_remote(self) -> bool:
        return bool(self.url)

    def ask(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """The JSON answer. Raises the SpinbotError the daemon says, or DaemonUnreachable."""
        data = json.dumps(body).encode() if body is not None else None
        return json.loads(self.raw(method, path, data, {"Content-Type": "application/json"}, **query))

    def submit(self, path: str, body: object) -> Any:
        """A POST that makes a job, again with the same key when the connection breaks: one job, whatever happens."""
        key = os.urandom(16).hex()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key, "traceparent": _traceparent()}
        return json.loads(self._insisting("POST", path, json.dumps(body).encode(), headers))

    def upload(self, path: str, fields: Mapping[str, Any], files: list[Path]) -> Any:
        """The same with files, for a daemon on another machine."""
        import httpx  # only here: multipart is not worth our own code, and its import costs 100 ms

        parts = [("files", (file.name, file.open("rb"))) for file in files]
        try:
            answer = httpx.post(
                self.url + path,
                data={name: str(value) for name, value in fields.items()},
                files=parts,
                headers={
                    **self._headers(),
                    "Idempotency-Key": os.urandom(16).hex(),
                    "traceparent": _traceparent(),
                },
                timeout=httpx.Timeout(600, connect=10),
                verify=ssl.create_default_context(),  # of the system, or SSL_CERT_FILE
                trust_env=False,  # as everything else here, straight to where SPINBOT_URL says
            )
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise untrusted(self.url, str(error)) from error
            raise DaemonUnreachable(f"{self.url}: {error}", hint="is SPINBOT_URL right?") from error
        finally:
            for _, (_, file) in parts:
                file.close()
        return json.loads(_checked(answer.status_code, answer.content))

    def raw(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str], **query: object) -> bytes:
        """The body of the answer as it is."""
        asked = {name: str(value) for name, value in query.items() if value is not None}
        target = f"{path}?{urlencode(asked)}" if asked else path
        with self._connection() as connection:
            try:
                connection.request(method, target, data, {**self._headers(), **headers})
                answer = connection.getresponse()
                return _checked(answer.status, answer.read())
            except (OSError, http.client.HTTPException) as error:
                raise DaemonUnreachable(
                    f"the daemon does not answer at {self.where}: {error}", hint=START_HINT
                ) from error

    def _insisting(self, method: str, path: str, data: bytes, headers: Mapping[str, str]) -> bytes:
        for attempt in range(TRIES):
            try:
                return self.raw(method, path, data, headers)
            except DaemonUnreachable:
                if attempt == TRIES - 1:
                    raise
                time.sleep(0.2 * 2**attempt)  # a gateway that was killed is back in under two seconds
                self.ensure()
        raise AssertionError("the loop returns or raises")

    def download(self, path: str, target: Path) -> Path:
        """Save a file of a job, under a temporary name first."""
        temporary = target.with_name(f".{target.name}.part")
        with self._connection() as connection:
            connection.request("GET", path, headers=self._headers())
            answer = connection.getresponse()
            if answer.status != 200:
                _checked(answer.status, answer.read())
            expected = answer.length
            with temporary.open("wb") as file:
                while block := answer.read(1 << 16):
                    file.write(block)
                if expected is not None and file.tell() != expected:
                    raise DaemonUnreachable(f"{self.where} broke off after {file.tell()} of {expected} bytes")
        os.replace(temporary, target)
        return target

    # -- where it is

    @property
    def where(self) -> str:
        return self.url or str(self.home.socket)

    def websocket(self, **query: object) -> tuple[str, str | None]:
        """The URI to watch at, and the unix socket to go through, if any."""
        asked = urlencode({name: value for name, value in query.items() if value is not None}, doseq=True)
        if not self.url:
            return f"ws://localhost/ws?{asked}", str(self.home.socket)
        return f"ws{self.url.removeprefix('http')}/ws?{asked}", None

    def headers(self) -> dict[str, str]:
        return self._headers()

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        if self.url:
            parts = urlsplit(self.url)
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            connection = kind(parts.hostname or "", parts.port, timeout=self._within)
        else:
            connection = _OverSocket(self.home.socket, self._within)
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise untrusted(self.where, error.verify_message) from error
        except OSError as error:
            raise DaemonUnreachable(f"no daemon answers at {self.where}", hint=START_HINT) from error
        try:
            yield connection
        finally:
            connection.close()

    # -- the daemon's life

    def answers(self) -> bool:
        try:
            return bool(self.ask("GET", "/health")["status"] == "ok")
        except SpinbotError:
            return False

    def ensure(self) -> Client:
        """Start the daemon of this home when nothing listens. Raises DaemonUnreachable when it does not come up."""
        if self.is_remote:
            return self
        if self._listens():
            self._compare_versions()
            return self
        self.start(said=True)
        return self

    def _compare_versions(self) -> None:
        try:
            theirs = json.loads(self.home.daemon_file.read_bytes())["version"]
        except (OSError, ValueError, KeyError):
            return  # it is just starting or stopping
        if theirs != __version__:
            tell(f"the daemon is version {theirs}, this is {__version__}: spinbot daemon restart (jobs go on)")

    def _listens(self) -> bool:
        """Cheaper than a request. One that is starting listens a little before it answers: requests wait for it."""
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.home.socket))
        except OSError:
            return False
        return True

    def start(self, *, said: bool = False) -> None:
        """Start it and wait. Of many shells that find none, one starts it and the others wait for that one."""
        self.home.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        deadline = time.monotonic() + START_WITHIN
        with (self.home.root / "start.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if self._is_up():
                return
            if said:
                tell(f"starting the daemon for {self.home.root}")
            output = self.home.logs / "daemon-start.log"
            process = self._spawn(output)
            while not self._is_up():
                ended = process.poll()
                if ended == NOT_ALLOWED and time.monotonic() < deadline:
                    time.sleep(0.2)  # the one before is still stopping
                    process = self._spawn(output)
                elif ended is not None or time.monotonic() > deadline:
                    last = output.read_text(errors="replace").strip().splitlines()[-3:]
                    why = "\n  ".join(last) or f"nothing in {START_WITHIN:g} s"
                    raise DaemonUnreachable(f"the daemon did not start:\n  {why}", hint=f"see {self.home.logs}")
                time.sleep(0.05)

    def _is_up(self) -> bool:
        return self.home.daemon_file.exists() and self.answers()

    def _spawn(self, output: Path) -> subprocess.Popen[bytes]:
        with output.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "spinbot_daemon"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd="/",
                env={**os.environ, "SPINBOT_HOME": str(self.home.root)},
            )


NOT_ALLOWED = errors.NotAllowed.exit_code
"""How a daemon ends that found another one in this home."""
START_HINT = "spinbot daemon start"


def untrusted(where: str, reason: str) -> DaemonUnreachable:
    return DaemonUnreachable(
        f"the certificate of {where} is not to be trusted: {reason}",
        hint="SSL_CERT_FILE names the certificate of the authority that signed it",
    )


def _traceparent() -> str:
    """The trace of the script that calls us, by the usual variable, or a new one."""
    return os.environ.get("TRACEPARENT") or f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path, within: float) -> None:
        super().__init__("localhost", timeout=within)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _checked(status: int, data: bytes) -> bytes:
    """`data`, or the error that the daemon says, as the class with its exit code."""
    if status < 400:
        return data
    try:
        said = json.loads(data)
        message, hint, code = str(said["error"]), str(said.get("hint", "")), int(said["exitCode"])
    except (ValueError, KeyError, TypeError):
        message, hint, code = f"the daemon answered {status}", "see spinbot daemon logs", 1
    kinds = (errors.BadInput, errors.NotFound, errors.NotAllowed, DaemonUnreachable, errors.JobFailed)
    kind = next((kind for kind in kinds if kind.exit_code == code), SpinbotError)
    raise kind(message, hint=hint)
