"""The package's door: its names are there, and its page says what is so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import labs.queue_service
from labs.queue_service import State

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", labs.queue_service.__all__)
def test_every_name_can_be_imported(name: str) -> None:
    assert callable(getattr(labs.queue_service, name))
    assert name in dir(labs.queue_service)


def test_a_client_needs_no_database() -> None:
    ran = subprocess.run(
        [
            sys.executable,
            "-c",
            "from labs.queue_service import QueueServiceClient; import sys;"
            "print(sorted({m.split('.')[0] for m in sys.modules} & "
            "{'sqlalchemy', 'psycopg', 'fastapi', 'starlette', 'jwt', 'uvicorn'}))",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == "[]"


def test_a_server_needs_no_library_of_another_system() -> None:
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.modules |= dict.fromkeys(('fastapi', 'boto3', 'confluent_kafka'));"
            "from labs.queue_service import QueueService, create_app, serving;"
            "import labs.cli.queue_service_serve, labs.queue_service.push_dispatch",
        ],
        cwd=ROOT,
        check=True,
    )


def test_the_page_s_example_does_what_it_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = labs.queue_service.__doc__ or ""
    lines = text.split("`labs queue-service serve`")[0].splitlines()
    code = "\n".join(line[4:] for line in lines if line.startswith("    ") or not line)
    code = code.replace("queue.stats().counts", "counts = queue.stats().counts")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}

    exec(code, names)  # noqa: S102 - our own page

    assert getattr(names["again"], "created", None) is False
    counts = names["counts"]
    assert isinstance(counts, dict)
    assert counts[State.DONE] == counts[State.QUEUED] == 1
