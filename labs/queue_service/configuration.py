"""The queue service's settings: flags, then environment, then a dotenv file, then defaults.

Each has a variable QUEUE_SERVICE_… and mostly a flag. The dotenv file is named by `--config` or
by QUEUE_SERVICE_CONFIG_PATH. A variable that begins so and is no setting is refused by name:
a slip of the pen must not leave a door open. Secrets are `SecretStr`: no log, repr, help or
error shows them. `authenticator_of` makes of the settings who may come in.
"""

from __future__ import annotations

import difflib
import os
import re
import ssl
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from labs.errors import BadInput
from labs.task_queue.configuration import read_settings

if TYPE_CHECKING:
    from labs.queue_service.auth import Authenticator
    from labs.queue_service.client import QueueServiceClient

PREFIX = "QUEUE_SERVICE_"
CONFIG_PATH = f"{PREFIX}CONFIG_PATH"
REMEDY = "`labs queue-service settings` says what each setting may be."
NO_AUDIENCE = "none"
PORT = 8002
GIVEN_BY_KUBERNETES = re.compile(r"(SERVICE_)?(HOST|PORT)(_.*)?")
"""What it sets in every container if a Service has the name `queue` or `queue-service`: therefore
none of ours is QUEUE_SERVICE_PORT."""


class QueueServiceSettings(BaseSettings):
    """All settings of server and clients. Make it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        env_file_encoding="utf-8",
        hide_input_in_errors=True,
    )

    store: SecretStr | None = Field(
        default=None,
        description="`postgresql://user:password@host/database` or `sqlite:///path`; else a "
        "SQLite file of the lab's own",
    )
    name: str = Field(
        default="builds", min_length=1, description="queues of other names share the database"
    )
    keep_days: float = Field(
        default=7.0, gt=0, le=3650, description="so long messages are kept that have ended"
    )
    listen_host: str = Field(default="127.0.0.1", description="where the server listens")
    listen_port: int = Field(
        default=PORT, ge=0, le=65535, description="on which port; 0: any that is free"
    )
    processes: int = Field(
        default=1,
        ge=1,
        le=256,
        description="so many serve at the one port; more than one on PostgreSQL only",
    )
    certificate: Path | None = Field(default=None, description="a PEM file: HTTPS is spoken")
    certificate_key: Path | None = Field(
        default=None, description="its key, if that is a file apart"
    )
    public_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="by which tokens are checked, with commas between: files (PEM or JWKS), "
        "addresses of a JWKS, or PEM text",
    )
    algorithm: str = Field(default="RS256", description="with which tokens are signed")
    audience: str = Field(
        default="queue-service",
        description=f"must be in a token's `aud`; `{NO_AUDIENCE}`: it must have no `aud`",
    )
    issuer: str | None = Field(default=None, description="must be a token's `iss`, if it is set")
    password_file: Path | None = Field(
        default=None, description="of a lab: lines of name:scopes:hash"
    )
    max_body_bytes: int = Field(
        default=10 * 1024 * 1024, ge=1024, description="a longer request is refused (413)"
    )
    max_waiting: int = Field(
        default=2000,
        ge=1,
        description="so many requests wait for the store, in each process; others get 429",
    )
    rate_per_s: float = Field(
        default=0.0,
        ge=0,
        description="so many requests a second of each who asks, by each process's count; 0: any "
        "number",
    )
    rate_burst: float = Field(default=0.0, ge=0, description="so many at once, after a rest")

    url: str = Field(
        default=f"http://127.0.0.1:{PORT}", description="of the commands that ask a server: where"
    )
    ca_file: Path | None = Field(
        default=None, description="of HTTPS: a PEM file of whom they trust; else the usual ones"
    )
    token: SecretStr | None = Field(default=None, description="which they bring")
    user: str | None = Field(default=None, description="or a name of a password file, and")
    password: SecretStr | None = Field(default=None, description="its password")
    private_key: SecretStr | None = Field(
        default=None, description="of `token`: PEM text, if it is not a file"
    )
    amqp_url: SecretStr | None = Field(
        default=None, description="of `dispatch` to RabbitMQ; else the lab's own"
    )
    argo_token: SecretStr | None = Field(default=None, description="of `dispatch` to Argo")

    @field_validator("public_keys", mode="before")
    @classmethod
    def _one_by_one(cls, given: object) -> object:
        """PEM text holds no commas."""
        if isinstance(given, str):
            return tuple(one.strip() for one in given.split(",") if one.strip())
        return given

    @property
    def keep(self) -> timedelta:
        """So long messages are kept that have ended."""
        return timedelta(days=self.keep_days)

    @property
    def asks_who_comes(self) -> bool:
        """Whether a token or a password is asked for."""
        return bool(self.public_keys or self.password_file)


def load_settings(config: Path | None = None, /, **flags: Any) -> QueueServiceSettings:
    """The settings; flags that are None were not given.

    Raises:
        BadInput: a value can't be meant, there is no such setting, or the dotenv file can't be
            read. No value is shown.
    """
    settings = read_settings(
        QueueServiceSettings,
        config,
        flags,
        named_by=CONFIG_PATH,
        variable_of=variable_of,
        remedy=REMEDY,
    )
    _refuse_strangers(os.environ, "the environment")
    if named := config or os.environ.get(CONFIG_PATH):
        lines = Path(named).read_text(encoding="utf-8").splitlines()
        names = (re.split(r"[=\s]", line.strip().removeprefix("export "))[0] for line in lines)
        _refuse_strangers(names, str(named))
    return settings


def variable_of(field: str) -> str:
    """The name of a setting in the environment."""
    return PREFIX + field.upper()


OF_THE_ENVIRONMENT = (
    "ca_file",
    "token",
    "user",
    "password",
    "private_key",
    "amqp_url",
    "argo_token",
)
"""Mostly secrets: others on the machine could see flags."""


def flag_of(field: str) -> str | None:
    """The flag of a setting; None for what is set by the environment or a file alone."""
    if field in OF_THE_ENVIRONMENT:
        return None
    renamed = {"public_keys": "public-key", "listen_host": "host", "listen_port": "port"}
    renamed["max_body_bytes"] = "max-body"
    return "--" + renamed.get(field, field.replace("_", "-"))


def table() -> str:
    """The settings as a Markdown table: variable, flag, default, meaning."""
    rows = ["| variable | flag | default | meaning |", "| --- | --- | --- | --- |"]
    for field, info in QueueServiceSettings.model_fields.items():
        default = "" if info.default in (None, ()) else f"`{info.default}`"
        flag = flag_of(field)
        shown = f"`{flag}`" if flag else ""
        rows.append(f"| `{variable_of(field)}` | {shown} | {default} | {info.description} |")
    return "\n".join(rows)


def _refuse_strangers(names: Iterable[str], where: str) -> None:
    """Refuse what begins as a setting of ours, and is none."""
    known = [variable_of(field) for field in QueueServiceSettings.model_fields]
    for name in names:
        upper = name.upper()
        if not upper.startswith(PREFIX) or upper in (*known, CONFIG_PATH):
            continue
        if not GIVEN_BY_KUBERNETES.fullmatch(upper.removeprefix(PREFIX)):
            near = difflib.get_close_matches(upper, known, n=1)
            remedy = f"Did you mean {near[0]}? {REMEDY}" if near else REMEDY
            raise BadInput(f"There is no setting {name} (from {where}).", remedy=remedy)


# --- What the settings mean -------------------------------------------------------------------


def authenticator_of(settings: QueueServiceSettings) -> Authenticator | None:
    """Who may come in; None: everybody.

    Raises:
        BadInput: keys or passwords can't be read, or can't be meant.
    """
    if not settings.asks_who_comes:
        return None
    from labs.queue_service.auth import Authenticator
    from labs.queue_service.auth_tokens import TokenChecker
    from labs.queue_service.passwords import PasswordFile

    tokens = passwords = None
    if settings.password_file:
        passwords = PasswordFile(settings.password_file)
    if settings.public_keys:
        tokens = TokenChecker(
            settings.public_keys,
            algorithm=settings.algorithm,
            audience=audience_of(settings),
            issuer=settings.issuer,
        )
    return Authenticator(tokens=tokens, passwords=passwords)


def audience_of(settings: QueueServiceSettings) -> str | None:
    """For whom tokens are."""
    return None if settings.audience == NO_AUDIENCE else settings.audience


def client_of(settings: QueueServiceSettings, **more: Any) -> QueueServiceClient:
    """A client of the service that the settings name.

    Raises:
        BadInput: the address, the token, the password or the certificates can't be meant.
    """
    from labs.queue_service.client import QueueServiceClient

    token, password = settings.token, settings.password
    trusting: ssl.SSLContext | bool = True
    if settings.ca_file is not None:
        try:
            trusting = ssl.create_default_context(cafile=settings.ca_file)
        except OSError as error:  # ssl.SSLError too
            raise BadInput(
                f"The certificates in {settings.ca_file} can't be read: {error.strerror or error}.",
                remedy="Set QUEUE_SERVICE_CA_FILE to a PEM file with certificates.",
            ) from error
    return QueueServiceClient(
        settings.url,
        token=None if token is None else token.get_secret_value(),
        user=settings.user,
        password=None if password is None else password.get_secret_value(),
        verify=trusting,
        **more,
    )
