"""Which queue service a command asks, and how what it answers is shown.

`--url` names a server (http…) or, with nothing between, the store itself (sqlite…, postgresql…):
both answer the same operations. Token and password come from the environment, a settings file
or a file of their own, never from a flag, which others on the machine could see.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from labs.errors import BadInput, LabError

if TYPE_CHECKING:
    from labs.queue_service.client_verbs import Verbs
    from labs.queue_service.configuration import QueueServiceSettings

F = TypeVar("F", bound=Callable[..., Any])
IMPATIENT_S = 0.5
"""Who presses Tab does not wait longer for a server."""
COMPLETED = 100
STATES = ("queued", "blocked", "frozen", "running", "done", "failed", "collapsed", "stopped")
COLOURS = {"running": "cyan", "done": "green", "failed": "red", "blocked": "yellow"}
COLOURS |= {"frozen": "blue", "collapsed": "dim", "stopped": "dim"}

CONFIG = click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A dotenv file of NAME=value lines; else QUEUE_SERVICE_CONFIG_PATH.",
)
URL = click.option(
    "--url",
    metavar="URL",
    help="A server, or a store (sqlite:///…, postgresql://…); else QUEUE_SERVICE_URL, or "
    "http://127.0.0.1:8002.",
)
TOKEN_FILE = click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    help="Holds the token to bring; else QUEUE_SERVICE_TOKEN, or QUEUE_SERVICE_USER and _PASSWORD.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
CLUSTER = click.option("--cluster", metavar="NAME", default="", help="Of this build cluster.")


def service_options(function: F) -> F:
    """The options that say which service."""
    for option in (CONFIG, TOKEN_FILE, URL):
        function = option(function)
    return function


def settings_of(config: Path | None, **flags: Any) -> QueueServiceSettings:
    """The settings. Raises BadInput: one can't be meant."""
    from labs.queue_service.configuration import load_settings

    return load_settings(config, **flags)


@contextmanager
def the_service(
    url: str | None, token_file: Path | None, config: Path | None, **client: Any
) -> Iterator[Verbs]:
    """The service that is meant, until the end of the block.

    Args:
        client: more for `QueueServiceClient`.

    Raises:
        LabError: it can't be meant, or does not answer.
    """
    from labs.queue_service.client_verbs import VerbsOf
    from labs.queue_service.configuration import client_of

    token = None if token_file is None else token_file.read_text(encoding="utf-8").strip()
    settings = settings_of(config, url=url, token=token)
    if settings.url.startswith(("sqlite:", "postgresql:", "postgres:", "postgresql+")):
        from labs.queue_service.service import QueueService

        with QueueService.at(settings.url, settings.name, keep=settings.keep) as service:
            yield VerbsOf(service.call)
        return
    with client_of(settings, **client) as asked:
        yield asked


def ids_of(texts: Sequence[str], everything: bool) -> Sequence[str] | None:
    """The ids that are meant; None: all. Raises BadInput: it is not said which."""
    if bool(texts) == everything:
        raise BadInput("Which messages?", remedy="Name some, or say --all.")
    return texts or None


def json_of(text: str, what: str) -> Any:
    """JSON that was typed. Raises BadInput: it is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadInput(f"{what} is not JSON: {error}.", remedy="Mind the quotes.") from None


def object_of(text: str, what: str) -> dict[str, Any]:
    """A JSON object that was typed. Raises BadInput: it is none."""
    found = json_of(text, what)
    if not isinstance(found, dict):
        raise BadInput(f"{what} is no JSON object.", remedy="""Such as '{"container": "node"}'.""")
    return found


# --- Tab --------------------------------------------------------------------------------------


def completes(
    found: Callable[[Verbs], Iterable[str]],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Complete with what the service knows, if it answers at once."""

    def complete(
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG001 - click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        which = {name: ctx.params.get(name) for name in ("url", "token_file", "config")}
        with (
            suppress(LabError, OSError),
            the_service(**which, timeout_s=IMPATIENT_S, retries=0) as service,
        ):
            words = [one for one in found(service) if one.startswith(incomplete)]
            return [CompletionItem(one) for one in words]
        return []

    return complete


def message_ids(state: str | None = None) -> Callable[[Verbs], Iterable[str]]:
    """The newest messages, of a state or of any."""

    def found(service: Verbs) -> Iterable[str]:
        from labs.queue_service.messages import State

        wanted = None if state is None else State(state)
        return [one.id for one in service.page(state=wanted, limit=COMPLETED).messages]

    return found


def scheduled_jobs(service: Verbs) -> Iterable[str]:
    """The jobs that have a schedule."""
    return [str(one.job_id) for one in service.schedules()]


# --- What is shown ----------------------------------------------------------------------------


def as_data(value: Any) -> Any:
    """A value of the service as JSON: the names are those of the REST API."""
    from labs.queue_service.api_answers import said

    return json.loads(said(value).body)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], wraps: str = "") -> None:
    """Print a table; states in their colours.

    Args:
        wraps: the column that gives way where there is not room for all.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=box.SIMPLE_HEAD)
    for column in shown.columns:
        column.no_wrap = column.header != wraps
        column.overflow = "fold"
    for row in rows:
        cells = [plain(one) for one in row]
        shown.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in cells))
    Console().print(shown)


def plain(value: object) -> str:
    """A value as a person reads it, without what a terminal would obey."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return when(value)
    text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return "".join(one if one.isprintable() else "�" for one in text)


def when(at: datetime) -> str:
    """A time in UTC, to the second; without the day, if that is today."""
    there = at.astimezone(UTC)
    today = there.date() == datetime.now(UTC).date()
    return f"{there:%H:%M:%S}" if today else f"{there:%Y-%m-%d %H:%M:%S}"


def paragraphs(value: Any) -> None:
    """Print what is known of something, one line each."""
    assert is_dataclass(value)
    for one in fields(value):
        known = getattr(value, one.name)
        if known in (None, "", (), {}) or isinstance(known, Mapping) or one.name == "move":
            continue
        click.echo(f"{one.name.replace('_', ' '):<13} {plain(known)}")
