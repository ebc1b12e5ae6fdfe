"""The task queue's settings: flags, then environment, then a dotenv file, then defaults.

Names are the known ones, in any case: `QUEUE_IMPLEMENTATION`, `SQL_QUEUE_CONNECTION_STRING`,
`S3_QUEUE_BASE_PATH`, `worker_interface`, … The dotenv file is named by `--config` or by
`TASK_QUEUE_CONFIG_PATH`. Secrets are `SecretStr`: no log, repr, help or error shows them.
`open_queue` makes the queue that settings mean, `open_url` the one that a URL means.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from labs.errors import BadInput
from labs.task_queue.queue import TaskQueue

CONFIG_PATH = "TASK_QUEUE_CONFIG_PATH"


class QueueKind(StrEnum):
    """Where the tasks are kept."""

    IN_MEMORY = "in-memory"
    SQL_JSON = "sql-json"
    S3_JSON = "s3-json"


class EventStoreKind(StrEnum):
    """Where events are kept."""

    NONE = "none"
    SQL_JSON = "sql-json"


class WorkerKind(StrEnum):
    """What runs the tasks."""

    ARGO = "argo-workflows"
    PROCESS = "process"
    RABBIT = "rabbit"


def _named(*names: str, default: Any = None, about: str, **more: Any) -> Any:
    """A setting with its names in the environment, the first being the one that is shown."""
    return Field(default, validation_alias=AliasChoices(*names), description=about, **more)


class TaskQueueSettings(BaseSettings):
    """All settings of server and controller. Make it with `load_settings`."""

    model_config = SettingsConfigDict(
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        env_file_encoding="utf-8",
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    queue_implementation: QueueKind | None = Field(
        default=None, description="`sql-json`, `s3-json` or `in-memory`; else what the others mean"
    )
    connection_string: SecretStr | None = _named(
        "sql_queue_connection_string",
        "connection_string",
        about="`postgresql://user:password@host/database` or `sqlite:///path`",
    )
    queue_name: str | None = _named(
        "sql_queue_name", "queue_name", about="queues of other names share the database"
    )
    sql_queue_postgres_hostname: str | None = Field(
        default=None, description="PostgreSQL in parts, in place of a connection string"
    )
    sql_queue_postgres_port: int = Field(default=5432, ge=1, le=65535, description="its port")
    sql_queue_postgres_user: str | None = Field(default=None, description="its user")
    sql_queue_postgres_password: SecretStr | None = Field(default=None, description="its password")
    sql_queue_postgres_database: str | None = Field(default=None, description="its database")
    s3_base_path: str | None = _named(
        "s3_queue_base_path", "s3_base_path", about="`s3://bucket/prefix`"
    )
    fsspec_s3_endpoint_url: str | None = Field(
        default=None, description="the S3 server, unless it is Amazon's"
    )
    event_store_implementation: EventStoreKind = Field(
        default=EventStoreKind.NONE, description="`sql-json` or `none`"
    )
    with_queue_events: bool = Field(default=False, description="keep every move as an event")
    add_to_queue_event_name: str | None = Field(default=None, description="of tasks that are put")
    move_queue_event_name: str | None = Field(default=None, description="of tasks that are moved")

    task_queue_host: str = Field(default="127.0.0.1", description="where the server listens")
    task_queue_port: int = Field(default=8080, ge=0, le=65535, description="on which port; 0: any")
    task_queue_token: SecretStr | None = Field(
        default=None, description="what clients must bring; needed beyond loopback"
    )

    worker_interface: WorkerKind | None = Field(
        default=None, description="what runs the tasks: `process`, `rabbit` or `argo-workflows`"
    )
    worker_interface_id: str | None = Field(
        default=None, description="the controller's own name, the same after a restart"
    )
    path_to_scripts: Path | None = Field(
        default=None, description="of `process`: the folder of scripts"
    )
    process_state: Path | None = Field(
        default=None,
        description="of `process`: where jobs are kept in mind; else beside the scripts",
    )
    amqp_url: SecretStr | None = Field(
        default=None, description="of `rabbit`: the broker, as `amqp://user:password@host/vhost`"
    )
    rabbit_queue: str = Field(default="tasks", description="of `rabbit`: what its workers consume")
    endpoint: str | None = Field(default=None, description="of `argo-workflows`: the API's URL")
    namespace: str | None = Field(
        default=None, description="of `argo-workflows`: Kubernetes' namespace"
    )
    argo_token: SecretStr | None = Field(default=None, description="of `argo-workflows`: its token")
    resource_limits: dict[str, float] | None = Field(
        default=None, description='how much there is of what tasks need, as `{"gpus": 2}`'
    )
    processing_limit: int = Field(
        default=10, ge=0, description="so many tasks are processed at a time; 0: all that wait"
    )
    periodic_seconds: float = Field(
        default=10.0, gt=0, description="between two looks of the controller"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic's signature
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Each source by fields, so that one wins over the next whichever name is used."""
        sources = (init_settings, env_settings, dotenv_settings)
        return tuple(_ByField(settings_cls, source) for source in sources)

    @property
    def kind(self) -> QueueKind:
        """Where the tasks are kept, also if it is not said in so many words."""
        if self.queue_implementation is not None:
            return self.queue_implementation
        if self.s3_base_path and not self.connection_string:
            return QueueKind.S3_JSON
        return QueueKind.SQL_JSON

    @property
    def names_a_store(self) -> bool:
        """Whether anything says where the tasks are kept."""
        return bool(
            self.queue_implementation
            or self.connection_string
            or self.sql_queue_postgres_hostname
            or self.s3_base_path
        )

    def database_url(self) -> str:
        """The database's URL, with the password. Keep it out of logs.

        Raises:
            BadInput: what makes it is missing.
        """
        if self.connection_string is not None:
            return self.connection_string.get_secret_value()
        parts = ("hostname", "user", "password", "database")
        names = [f"sql_queue_postgres_{part}" for part in parts]
        missing = [name.upper() for name in names if getattr(self, name) is None]
        if missing:
            raise BadInput(
                f"It is not known where the SQL queue's database is: {', '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} missing.",
                remedy="Set SQL_QUEUE_CONNECTION_STRING, or all of SQL_QUEUE_POSTGRES_HOSTNAME, "
                "_USER, _PASSWORD and _DATABASE.",
            )
        assert self.sql_queue_postgres_password is not None
        user = quote(self.sql_queue_postgres_user or "", safe="")
        password = quote(self.sql_queue_postgres_password.get_secret_value(), safe="")
        host = self.sql_queue_postgres_hostname or ""
        host = f"[{host}]" if ":" in host else host
        database = quote(self.sql_queue_postgres_database or "", safe="")
        return f"postgresql://{user}:{password}@{host}:{self.sql_queue_postgres_port}/{database}"


class _ByField(PydanticBaseSettingsSource):
    """A source whose values are found under their field's name, whichever name was used."""

    def __init__(self, settings_cls: type[BaseSettings], of: PydanticBaseSettingsSource) -> None:
        super().__init__(settings_cls)
        self._of = of

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        """Not asked: all values come at once."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The values."""
        found = {str(name).lower(): value for name, value in self._of().items()}
        return {
            field: next(found[name] for name in names if name in found)
            for field, names in _names(self.settings_cls)
            if any(name in found for name in names)
        }


def _names(model: type[BaseSettings]) -> Iterator[tuple[str, list[str]]]:
    """Each field, and the names under which it may be set."""
    for field, info in model.model_fields.items():
        alias = info.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else []
        yield field, [str(name) for name in choices] or [field]


def load_settings(config: Path | None = None, /, **flags: Any) -> TaskQueueSettings:
    """The settings; flags that are None were not given.

    Raises:
        BadInput: a value can't be meant, or the dotenv file can't be read. No value is shown.
    """
    return read_settings(
        TaskQueueSettings,
        config,
        flags,
        named_by=CONFIG_PATH,
        variable_of=variable_of,
        remedy="`labs task-queue settings` says what each setting may be.",
    )


M = TypeVar("M", bound=BaseSettings)


def read_settings(
    model: type[M],
    config: Path | None,
    flags: Mapping[str, Any],
    *,
    named_by: str,
    variable_of: Callable[[str], str],
    remedy: str,
) -> M:
    """Settings of a model: of flags that are not None, of the environment, of a dotenv file.

    Args:
        named_by: the variable that names the file, if `config` does not.
        variable_of: a field's name -> that of its variable.
        remedy: where one finds what each may be.

    Raises:
        BadInput: as `load_settings`.
    """
    named = config or (Path(path) if (path := os.environ.get(named_by)) else None)
    if named is not None:
        try:
            named.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise BadInput(
                f"The settings file {named} can't be read: {why}.",
                remedy=f"Give --config (or {named_by}) a file of NAME=value lines.",
            ) from error
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return model(_env_file=named, **given)
    except ValidationError as error:
        wrong = error.errors(include_input=False, include_url=False, include_context=False)[0]
        variable = variable_of(str(wrong["loc"][0]))
        raise BadInput(
            f"The setting {variable} is not right: {wrong['msg']}.", remedy=remedy
        ) from None


def variable_of(field: str) -> str:
    """The name of a setting in the environment."""
    for name, names in _names(TaskQueueSettings):
        if field == name or field in names:
            return names[0].upper()
    return field.upper()


def table() -> str:
    """The settings as a Markdown table: variable, flag, default, meaning."""
    rows = ["| variable | flag | default | meaning |", "| --- | --- | --- | --- |"]
    for field, info in TaskQueueSettings.model_fields.items():
        default = "" if info.default is None else f"`{info.default}`"
        flag = flag_of(field)
        shown = f"`{flag}`" if flag else ""
        rows.append(f"| `{variable_of(field)}` | {shown} | {default} | {info.description} |")
    return "\n".join(rows)


def flag_of(field: str) -> str | None:
    """The flag of a setting; None for what is set by the environment or a file alone."""
    if field in ("task_queue_token", "argo_token", "amqp_url") or field.startswith("sql_queue_"):
        return None
    if field == "resource_limits":
        return "--resource"
    name = {"fsspec_s3_endpoint_url": "s3_endpoint_url"}.get(field, field)
    return "--" + name.removeprefix("task_queue_").replace("_", "-")


# --- The queue that is meant ------------------------------------------------------------------


def open_queue(settings: TaskQueueSettings) -> TaskQueue:
    """The queue of the settings. Only what it needs is imported.

    Raises:
        BadInput: a setting is missing. StoreUnreachable, StoreUnfit: it can't be used.
    """
    queue = _store_of(settings)
    if not settings.with_queue_events:
        return queue
    if settings.event_store_implementation is not EventStoreKind.SQL_JSON:
        raise BadInput(
            "Events need a store.", remedy="Set EVENT_STORE_IMPLEMENTATION=sql-json as well."
        )
    from labs.task_queue.events_queue import with_events
    from labs.task_queue.sql import SqlQueue
    from labs.task_queue.sql_database import Database
    from labs.task_queue.sql_events import SqlEventStore

    if not (settings.add_to_queue_event_name and settings.move_queue_event_name):
        raise BadInput(
            "The events have no names.",
            remedy="Set ADD_TO_QUEUE_EVENT_NAME and MOVE_QUEUE_EVENT_NAME.",
        )
    if isinstance(queue, SqlQueue):
        database = queue.database
    else:
        database = Database.at(settings.database_url())
    return with_events(
        queue,
        SqlEventStore(database),
        add_event_name=settings.add_to_queue_event_name,
        move_event_name=settings.move_queue_event_name,
    )


def open_to_serve(settings: TaskQueueSettings) -> TaskQueue:
    """As `open_queue`, for who goes on: events that a crash has kept from being told are told.

    Raises:
        As `open_queue`.
    """
    queue = open_queue(settings)
    if settings.with_queue_events:
        try:
            queue.recover()
        except BaseException:
            queue.close()
            raise
    return queue


def _store_of(settings: TaskQueueSettings) -> TaskQueue:
    if settings.kind is QueueKind.IN_MEMORY:
        from labs.task_queue.memory import MemoryQueue

        return MemoryQueue()
    if settings.kind is QueueKind.S3_JSON:
        if not settings.s3_base_path:
            raise BadInput(
                "It is not known where the S3 queue is: S3_QUEUE_BASE_PATH is missing.",
                remedy="Such as S3_QUEUE_BASE_PATH=s3://bucket/prefix.",
            )
        return _s3(settings.s3_base_path, settings.fsspec_s3_endpoint_url)
    url = settings.database_url()
    if not settings.queue_name:
        raise BadInput(
            "The SQL queue has no name: SQL_QUEUE_NAME is missing.",
            remedy="Any text will do; queues of other names share the database.",
        )
    from labs.task_queue.sql import SqlQueue

    return SqlQueue.connect(url, settings.queue_name)


def _s3(base_path: str, endpoint: str | None) -> TaskQueue:
    from labs.task_queue.s3 import json_s3_queue

    return json_s3_queue(base_path, endpoint_url=endpoint)


def open_url(url: str, *, queue_name: str = "tasks", token: str | None = None) -> TaskQueue:
    """The queue at a URL: `http(s)://server`, `postgresql://…`, `sqlite:///path`, `s3://…`.

    Raises:
        BadInput: the URL can't be meant. StoreUnreachable, StoreUnfit: it can't be used.
    """
    scheme = url.partition(":")[0].lower()
    if scheme == "s3":
        return _s3(url, None)
    if scheme.startswith(("postgresql", "postgres", "sqlite")):
        from labs.task_queue.sql import SqlQueue

        return SqlQueue.connect(url, queue_name)
    from labs.task_queue.client import ApiClient

    return ApiClient(url, token=token)


# --- The known check --------------------------------------------------------------------------

NEEDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("worker_interface", "argo-workflows"): ("worker_interface_id", "endpoint", "namespace"),
    ("worker_interface", "process"): ("path_to_scripts",),
    ("worker_interface", "rabbit"): ("amqp_url",),
    ("queue_implementation", "sql-json"): ("connection_string", "queue_name"),
    ("queue_implementation", "s3-json"): ("s3_base_path",),
    ("event_store_implementation", "sql-json"): (
        "add_to_queue_event_name",
        "move_queue_event_name",
    ),
}
"""(setting, value) -> what must be set besides."""


def validate_args(cli_args: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a controller's arguments belong together, and what is wrong if they do not."""
    wrong = []
    for (setting, value), needed in NEEDS.items():
        missing = [name for name in needed if cli_args.get(name) is None]
        if cli_args.get(setting) == value and missing:
            wrong.append(
                f"{list(needed)} arguments required when {setting.replace('_', '-')} is set to "
                f"{value}; missing: {', '.join(missing)}"
            )
    if cli_args.get("with_queue_events") and cli_args.get("event_store_implementation") != (
        EventStoreKind.SQL_JSON
    ):
        wrong.append(
            "If with_queue_events is specified, event_store_implementation must be set to sql-json"
        )
    return not wrong, "\n".join(wrong)
