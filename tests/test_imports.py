"""The boundaries between the rooms of the house, held by a machine.

Two tables say who may import what: our rooms from one another, and each outside
library from the one file that speaks to it. The code's own imports are parsed
(those inside functions too) and held against them.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

MAY_IMPORT: dict[str, set[str]] = {
    "qprocessor": set(),
    "labs": set(),
    "labs.__main__": {"labs.cli"},
    "labs.bootstrap": set(),
    "labs.errors": set(),
    "labs.waiting": {"labs.errors"},
    "labs.settings": {"labs.errors"},
    "labs.stopping": set(),
    "labs.exports": set(),
    "labs.job_queue": {
        "labs.broker",
        "labs.errors",
        "labs.settings",
        "labs.stopping",
        "labs.waiting",
    },
    "labs.request_queue": {"labs.errors", "labs.settings", "labs.stopping", "labs.waiting"},
    "labs.task_queue": {
        "labs.broker",  # one of its workers speaks to it
        "labs.errors",
        "labs.exports",
        "labs.settings",
        "labs.stopping",
        "labs.waiting",
    },
    "labs.queue_service": {
        "labs.broker",  # its messages can be handed to one
        "labs.errors",
        "labs.exports",
        "labs.settings",
        "labs.stopping",
        "labs.task_queue",
        "labs.waiting",
    },
    "labs.broker": {"labs.errors", "labs.waiting"},
    "labs.jupyter": {"labs.errors", "labs.waiting"},
    "labs.amqp": {"labs.errors"},
    "labs.journal": {"labs.errors", "labs.waiting"},
    "labs.proxy": {"labs.amqp", "labs.errors", "labs.journal", "labs.waiting"},
    "labs.judge": {
        "labs.broker",
        "labs.errors",
        "labs.journal",
        "labs.proxy",
        "labs.queue_service",  # the service itself is the ground of an exercise on lost answers
        "labs.request_queue",  # its local Kafka is the ground of an exercise on a log
        "labs.waiting",
    },
    "labs.pictures": {
        "labs.errors",
        "labs.journal",
        "labs.judge",
        "labs.queue_service",  # its messages and their states: values
        "labs.task_queue",  # its stages and its moves: values
    },
    "labs.notebook": {
        "labs.broker",
        "labs.errors",
        "labs.journal",
        "labs.judge",
        "labs.pictures",
        "labs.proxy",
        "labs.waiting",
    },
    "labs.cli": {
        "labs",
        "labs.broker",
        "labs.errors",
        "labs.job_queue",
        "labs.journal",
        "labs.jupyter",
        "labs.judge",
        "labs.pictures",
        "labs.proxy",
        "labs.queue_service",
        "labs.request_queue",
        "labs.settings",
        "labs.stopping",
        "labs.task_queue",
        "labs.waiting",
    },
}
"""Room -> the rooms that it may import, besides itself."""

LIVES_IN: dict[str, set[str]] = {
    "pika": {
        "qprocessor",
        "labs.broker.connection",
        "labs.broker.explain",
        "labs.job_queue.rabbitmq_connection",
        "labs.job_queue.rabbitmq_link",
        "labs.job_queue.rabbitmq_taking",
        "labs.job_queue.rabbitmq_publishing",
        "labs.job_queue.rabbitmq_consuming",
        "labs.job_queue.rabbitmq_getting",
        "labs.task_queue.workers.rabbit",
    },
    "pamqp": {"labs.amqp"},
    "httpx": {
        "labs.broker.management",
        "labs.jupyter",
        "labs.queue_service.auth_jwks",
        "labs.task_queue.client_link",
        "labs.task_queue.workers.argo_server",
    },
    "jwt": {
        "labs.queue_service.auth_reading",
        "labs.queue_service.auth_tokens",
        "labs.queue_service.keys",
    },
    "cryptography": {"labs.queue_service.auth_reading", "labs.queue_service.keys"},
    "argon2": {"labs.queue_service.passwords"},
    "docker": {"labs.broker.container"},
    "matplotlib": {"labs.pictures.plots"},
    "pydantic": {
        "labs.settings",
        "labs.job_queue.configuration",
        "labs.queue_service.admission",
        "labs.queue_service.api_openapi",
        "labs.queue_service.configuration",
        "labs.queue_service.shapes",
        "labs.queue_service.shapes_verbs",
        "labs.request_queue.configuration",
        "labs.request_queue.driver_api",
        "labs.task_queue.api_known",
        "labs.task_queue.api_shapes",
        "labs.task_queue.configuration",
        "labs.task_queue.workers.process",
    },
    "fastapi": {
        "labs.request_queue.driver_api",
        "labs.request_queue.driver_server",
        "labs.task_queue.api",
        "labs.task_queue.api_answers",
        "labs.task_queue.api_known",
        "labs.task_queue.api_server",
        "labs.task_queue.api_verbs",
    },
    "starlette": {
        "labs.queue_service.api",
        "labs.queue_service.api_desk",
        "labs.queue_service.api_guard",
        "labs.queue_service.page",
        "labs.queue_service.page_door",
        "labs.queue_service.page_forms",
        "labs.queue_service.server",
        "labs.request_queue.driver_api",
        "labs.task_queue.api_answers",
        "labs.task_queue.api_guard",
        "labs.task_queue.api_known",
        "labs.task_queue.api_verbs",
    },
    "uvicorn": {
        "labs.queue_service.server",
        "labs.queue_service.server_connections",
        "labs.request_queue.driver_server",
        "labs.task_queue.api_server",
    },
    "pydantic_settings": {"labs.queue_service.configuration", "labs.task_queue.configuration"},
    "prometheus_client": {"labs.queue_service.metrics", "labs.task_queue.api_metrics"},
    "pydantic_core": {
        "labs.queue_service.api_answers",
        "labs.queue_service.shapes",
        "labs.queue_service.shapes_verbs",
        "labs.settings",
    },
    "yaml": {"labs.settings"},
    "psutil": {"labs.broker", "labs.judge.family", "labs.notebook"},
    "IPython": {"labs.notebook"},
    "confluent_kafka": {
        "labs.request_queue.kafka",
        "labs.request_queue.kafka_consumer",
        "labs.request_queue.kafka_settings",
        "labs.request_queue.kafka_topics",
        "labs.request_queue.local_cluster",
    },
    "sqlalchemy": {
        "labs.task_queue.sql",
        "labs.task_queue.sql_database",
        "labs.task_queue.sql_events",
    },
    "boto3": {"labs.task_queue.s3_bucket"},
    "botocore": {"labs.task_queue.s3_bucket"},
    "jinja2": {"labs.queue_service.page_door", "labs.queue_service.page_words"},
    "markupsafe": {"labs.queue_service.page_words"},
    "cronsim": {"labs.queue_service.cron", "labs.queue_service.freezing"},
    "click": {"qprocessor", "labs.cli"},
    "rich": {"labs.cli"},
}
"""Outside library -> the files or rooms that may speak to it. A library not named has no place."""


@cache
def modules() -> dict[str, Path]:
    found = {"qprocessor": ROOT / "qprocessor.py"}
    for path in sorted((ROOT / "labs").rglob("*.py")):
        if ROOT / "labs" / "exercises" in path.parents:
            continue  # learners' programs: data, which nobody imports
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively: name the room in full"
            names.add(node.module or "")
            names.update(
                f"{node.module}.{alias.name}"
                for alias in node.names
                if f"{node.module}.{alias.name}" in modules()
            )
    return names


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("module", modules())
def test_a_room_imports_only_the_rooms_that_the_table_allows(module: str) -> None:
    room = room_of(module)
    assert room in MAY_IMPORT, f"{room} is a new room: say in MAY_IMPORT what it may import"
    ours = {room_of(name) for name in imports_of(modules()[module]) if name.split(".")[0] == "labs"}
    strangers = {name for name in ours if name in modules()} - MAY_IMPORT[room] - {room, "labs"}
    assert not strangers, f"{module} imports {sorted(strangers)}"


@pytest.mark.parametrize("module", modules())
def test_an_outside_library_is_imported_only_where_it_lives(module: str) -> None:
    outside = {
        top
        for name in imports_of(modules()[module])
        if (top := name.split(".")[0]) not in sys.stdlib_module_names and top != "labs"
    }
    for library in outside:
        homes = LIVES_IN.get(library, set())
        assert any(module == home or module.startswith(f"{home}.") for home in homes), (
            f"{module} imports {library}, which lives in {sorted(homes) or 'no room yet'}"
        )


def test_every_row_of_the_tables_names_something_that_is_there() -> None:
    there = {room_of(module) for module in modules()}
    assert there == set(MAY_IMPORT)
    used = {name.split(".")[0] for path in modules().values() for name in imports_of(path)}
    assert set(LIVES_IN) <= used


@pytest.fixture(scope="module")
def importing() -> Iterator[subprocess.Popen[str]]:
    """Imports modules of ours, each in a process that has only the outside libraries so far."""
    used = {name for path in modules().values() for name in imports_of(path)}
    outside = sorted(name for name in used if name.split(".")[0] not in ("labs", "qprocessor"))
    command = [sys.executable, "-m", "tests.importing", *outside]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        assert process.stdin
        process.stdin.close()


@pytest.mark.parametrize("module", [name for name in modules() if name != "labs.__main__"])
def test_importing_a_module_prints_nothing_and_starts_nothing(
    module: str, importing: subprocess.Popen[str]
) -> None:
    """Threads and processes that an import left running would keep its process from ending."""
    assert importing.stdin
    assert importing.stdout
    print(module, file=importing.stdin, flush=True)
    assert json.loads(importing.stdout.readline()) == [0, ""]
