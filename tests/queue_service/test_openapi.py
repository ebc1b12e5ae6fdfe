"""The OpenAPI document tells the truth: a machine tries each thing that it says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

from labs.queue_service import api_dispatch, api_looks, api_messages
from labs.queue_service.api import create_app
from labs.queue_service.api_openapi import document
from labs.queue_service.server import serving
from labs.queue_service.service import QueueService
from tests.queue_service.served import Locked, authenticator, locked, make_key

__all__ = ["locked"]

ROUTES = (*api_messages.ROUTES, *api_dispatch.ROUTES, *api_looks.ROUTES)

STRICT = """
[[operations]]  # which body belongs to which `type` can't be said; and only one of ids is wanted
include-path-regex = "/queue/message$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "422"]
[[operations]]  # a move or an id out of nowhere is nobody's
include-path-regex = "/(extend|ack|nack)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "404", "409", "422"]
[[operations]]  # `after` is any text that a page has given
include-path-regex = "/messages$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "422"]
[[operations]]  # nobody waits, for the server has been told to stop
include-path-regex = "/ready$"
checks.not_a_server_error.expected-statuses = ["2xx", "4xx", "503"]
checks.positive_data_acceptance.expected-statuses = ["2xx", "503"]
"""


@pytest.mark.slow
def test_schemathesis_finds_nothing_that_is_not_as_the_document_says(
    sqlite_service: QueueService, tmp_path: Path
) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(STRICT)
    key = make_key()
    app = create_app(sqlite_service, authenticator=authenticator(key))
    app.stop()
    with serving(app) as url:
        bearer = Locked(url, key).bearer("sdapi", "worker")["Authorization"]
        ran = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config)),
                *("run", f"{url}/openapi.json", "--header", f"Authorization: {bearer}"),
                *("--phases", "examples,coverage", "--no-color", "--generation-deterministic"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]
    assert f"Tested: {len(ROUTES)}" in ran.stdout


def test_it_is_open_and_names_all_ways_in_and_what_each_needs(locked: Locked) -> None:
    said: dict[str, Any] = httpx.get(f"{locked.url}/openapi.json", trust_env=False).json()

    assert said["openapi"].startswith("3.1")
    ways = {(path, verb) for path, verbs in said["paths"].items() for verb in verbs}
    assert ways == {(route.path, route.method.lower()) for route in ROUTES}
    for route in ROUTES:
        one = said["paths"][route.path][route.method.lower()]
        assert ("security" in one) is not route.open
        assert (route.scope is None) or f"`{route.scope}`" in one["summary"]
    schemes = said["components"]["securitySchemes"]
    assert schemes["token"] == {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}


def test_a_server_that_lets_everybody_in_does_not_say_that_it_asks() -> None:
    said = document(ROUTES, ())
    assert "securitySchemes" not in said["components"]
    assert "401" not in said["paths"]["/v1/queue/stats"]["get"]["responses"]
    assert set(document(ROUTES, ('Basic realm="x"',))["components"]["securitySchemes"]) == {
        "password"
    }


def test_each_example_is_as_its_schema_says() -> None:
    said = document(ROUTES, ())
    examples = 0
    for verbs in said["paths"].values():
        for verb in verbs.values():
            for answer in verb["responses"].values():
                for content in answer["content"].values():
                    if "example" in content:
                        examples += 1
                        schema = {**content["schema"], "components": said["components"]}
                        jsonschema.validate(
                            content["example"], schema, format_checker=jsonschema.FormatChecker()
                        )
    assert examples == 3
    for shape in ("StartWanted", "PeriodicWanted", "FailedWanted", "ClaimWanted"):
        schema = said["components"]["schemas"][shape]
        for example in schema["examples"]:
            jsonschema.validate(example, {**schema, "components": said["components"]})


def test_what_stands_below_a_field_in_the_code_stands_beside_it_in_the_document() -> None:
    schemas = document(ROUTES, ())["components"]["schemas"]
    assert schemas["Message"]["properties"]["blockedBy"]["description"] == (
        "Jobs that must not be running."
    )
    assert "text would be equal" in schemas["StartWanted"]["properties"]["buildId"]["description"]
    assert set(schemas["Message"]["required"]) == set(schemas["Message"]["properties"])
