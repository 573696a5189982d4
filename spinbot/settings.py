"""One class of settings: `SPINBOT_*` variables over `config.toml` in the home over the defaults below."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from spinbot.errors import BadInput
from spinbot.home import Home, home_folder
from spinbot.logs import LogFormat


class MetricsSettings(BaseModel):
    """`/metrics`."""

    model_config = ConfigDict(extra="forbid")

    public: bool = Field(default=False, description="serve /metrics without the token")
    original_names: bool = Field(default=True, description="also expose the bullmq_* names of MySpinBot")


class Settings(BaseSettings):
    """What can be set. An unknown key in config.toml is an error, never a silent default."""

    model_config = SettingsConfigDict(
        env_prefix="SPINBOT_", env_nested_delimiter="__", extra="forbid", frozen=True, populate_by_name=True
    )

    home: Path = Field(default_factory=home_folder, description="where everything is kept")
    redis_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("SPINBOT_REDIS_URL", "REDIS_URL", "redis_url"),
        description="a valkey or redis to use instead of the embedded one",
    )
    host: str = Field(default="127.0.0.1", description="address of the TCP listener")
    insecure_redis: bool = Field(
        default=False, description="a broker beyond this machine without TLS, verification or password"
    )
    insecure_http: bool = Field(default=False, description="listen beyond this machine without TLS")
    tls_cert: Path | None = Field(
        default=None, description="certificate chain (PEM) of the TCP listener, which then speaks https and wss only"
    )
    tls_key: Path | None = Field(default=None, description="the private key (PEM) of tls_cert")
    c2pa_cert: Path | None = Field(
        default=None, description="certificate chain (PEM) that signs what is generated; needs spinbot[c2pa]"
    )
    c2pa_key: Path | None = Field(default=None, description="the private key (PEM) of c2pa_cert")
    hosts: tuple[str, ...] = Field(
        default=(), description="names under which others reach it, besides this machine's and addresses"
    )
    port: int = Field(default=0, ge=0, le=65535, description="0 takes a free port; see spinbot daemon status")
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps")
    lanes: tuple[str, ...] = Field(default=("train", "generate"), description="one worker process for each")
    max_upload_mb: int = Field(default=512, ge=1, description="largest body of a submission, MiB")
    max_minutes: float = Field(default=30, gt=0, description="most audio a voice may be trained on, minutes")
    min_free_mb: int = Field(
        default=50, ge=0, description="room a submission asks for besides what its job writes, MB; 0 does not ask"
    )
    max_rss_mb: int = Field(default=0, ge=0, description="a worker over this much resident memory ends; 0 is off")
    progress_per_second: float = Field(default=10, gt=0, le=10, description="most progress events of a job")
    stop_grace: float = Field(default=20, gt=0, description="seconds a job has to stop before its process ends")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    log_format: LogFormat = Field(default="text", description="text for people, json for machines")
    metrics: MetricsSettings = MetricsSettings()

    @model_validator(mode="after")
    def _safe_broker(self) -> Self:
        """Raises ValueError, which never has the URL in it: a password may be."""
        if self.redis_url is None:
            return self
        url = urlsplit(self.redis_url.get_secret_value())
        if url.scheme not in {"unix", "redis", "rediss"}:
            raise ValueError("redis_url begins with unix://, redis:// or rediss://")
        if url.scheme == "unix" or url.hostname in {"localhost", "127.0.0.1", "::1"} or self.insecure_redis:
            return self
        if url.scheme == "redis":
            raise ValueError("a broker beyond this machine needs rediss://; SPINBOT_INSECURE_REDIS=1 goes without")
        if {value.lower() for value in parse_qs(url.query).get("ssl_cert_reqs", ["required"])} != {"required"}:
            raise ValueError("the certificate of a broker beyond this machine has to be verified")
        if not url.password:
            raise ValueError("a broker beyond this machine needs a password: rediss://user:password@host:6379")
        return self

    @model_validator(mode="after")
    def _whole_certificate(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key belong together")
        if (self.c2pa_cert is None) != (self.c2pa_key is None):
            raise ValueError("c2pa_cert and c2pa_key belong together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        toml = TomlConfigSettingsSource(settings_cls, Home().config_file)
        return init_settings, env_settings, toml

    @property
    def folders(self) -> Home:
        return Home(self.home)

    def broker_url(self) -> str:
        """Where the broker is: the configured one, else the embedded one's socket."""
        return self.redis_url.get_secret_value() if self.redis_url else f"unix://{self.folders.broker_socket}"


def load_settings() -> Settings:
    """Raises BadInput naming the setting, where it can come from, and what is wrong with it."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or _subject(first["msg"])
        raise BadInput(
            f"setting {name}: {first['msg']}",
            hint=f"it comes from SPINBOT_{name.upper()} or {Home().config_file}",
        ) from error


def _subject(message: str) -> str:
    """The setting that a check of the whole speaks of."""
    return next((name for name in ("tls_cert", "c2pa_cert") if name in message), "redis_url")
