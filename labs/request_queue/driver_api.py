"""The driver's HTTP API: bytes in, one call of the driver, JSON out.

`POST /api/driver/lifecycle/execute` answers 202 when the request is safe, and never sooner;
what is wrong with a request is said in words, with 4xx; 503 means that the log did not take it.
`GET /management/health` asks the broker each time. Keys are read as the API's own
(`lifecycleName`) and as the queue's (`lifecycle_name`), and the answer has both.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.alias_generators import to_camel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from labs.errors import LabError
from labs.request_queue.driver import ResourceDriver
from labs.request_queue.requests import MAX_REQUEST_BYTES, RequestRefused, RequestTooLarge

logger = logging.getLogger(__name__)
OK, UNHEALTHY = "OK", "UNHEALTHY"
Vitals = Mapping[str, Callable[[], None]]
"""What must be well, by name; each raises a `LabError` when it is not."""
Metrics = Callable[[], Mapping[str, object]]
"""Numbers by name; raises a `LabError` when they can't be had."""


class DeploymentLocation(BaseModel):
    """Where the resource lives."""

    model_config = ConfigDict(extra="allow")
    name: str


class LifecycleExecutionRequest(BaseModel):
    """The body of a request. Keys that are not known are passed over, as the API allows them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    lifecycle_name: str = Field(min_length=1)
    driver_files: str
    system_properties: dict[str, Any]
    resource_properties: dict[str, Any] = Field(default_factory=dict)
    request_properties: dict[str, Any] = Field(default_factory=dict)
    associated_topology: dict[str, Any] = Field(default_factory=dict)
    deployment_location: DeploymentLocation

    @field_validator("driver_files")
    @classmethod
    def _is_base64(cls, value: str) -> str:
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("it is not base64") from None
        return value


class Refused(Exception):
    """Raised for what is answered with an error: a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def create_app(
    driver: ResourceDriver, vitals: Vitals | None = None, metrics: Metrics | None = None
) -> FastAPI:
    """The API of the driver; `vitals` are asked by the health check, `metrics` by the metrics."""
    app = FastAPI(title="Resource Driver", docs_url=None, redoc_url=None)

    @app.post(
        "/api/driver/lifecycle/execute",
        status_code=202,
        summary="Execute a lifecycle transition or operation",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": LifecycleExecutionRequest.model_json_schema()}
                },
            }
        },
    )
    async def execute_lifecycle(request: Request) -> Response:
        wanted = _parsed(await _body(request))
        location = wanted.deployment_location.model_dump()
        fields = {**wanted.model_dump(), "deployment_location": location}
        response = await run_in_threadpool(_executed, driver, fields)
        return JSONResponse(response, 202)

    @app.get("/management/health", summary="Whether all that is needed is there")
    async def health() -> Response:
        report: dict[str, dict[str, str]] = {"app": {"status": OK}}
        for name, check in (vitals or {}).items():
            # Not in the threads where requests may all be waiting for a log that is gone.
            report[name] = await asyncio.to_thread(_asked, check)
        well = all(vital["status"] == OK for vital in report.values())
        report["app"]["status"] = OK if well else UNHEALTHY
        return JSONResponse({"vitals": report}, 200 if well else 503)

    @app.get("/management/metrics", summary="How much waits, and what became of the rest")
    async def numbers() -> Response:
        try:
            return JSONResponse(dict(await asyncio.to_thread(metrics or dict[str, object])))
        except LabError as error:
            raise Refused(503, str(error)) from error

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return _problem(error.status, str(error))

    @app.exception_handler(HTTPException)
    async def no_such_thing(_: Request, error: HTTPException) -> Response:
        return _problem(error.status_code, f"{error.detail}.", error.headers)

    return app


async def _body(request: Request) -> bytes:
    """The body, read no further than a request may be long."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "Send JSON, with the header Content-Type: application/json.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_REQUEST_BYTES:
            raise Refused(413, f"A request may have {MAX_REQUEST_BYTES:,} bytes, not more.")
    return bytes(body)


def _parsed(body: bytes) -> LifecycleExecutionRequest:
    try:
        return LifecycleExecutionRequest.model_validate_json(body)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in one['loc']) or 'the body'}: "
            f"{one['msg'].removeprefix('Value error, ')}"
            for one in error.errors(include_input=False, include_url=False)
        )
        raise Refused(400, f"The request is not right. {wrong}.") from None


def _executed(driver: ResourceDriver, fields: dict[str, Any]) -> dict[str, Any]:
    try:
        response = driver.execute_lifecycle(**fields)
    except RequestTooLarge as error:
        raise Refused(413, f"{error} {error.remedy}") from error
    except RequestRefused as error:
        raise Refused(400, f"{error} {error.remedy}") from error
    except LabError as error:
        logger.warning("A request was not taken: %s", error)
        raise Refused(503, f"The request was not taken; send it again later. {error}") from error
    except Exception as error:
        logger.exception("The driver failed")
        raise Refused(500, "The driver failed; its log says why.") from error
    return {
        "requestId": response.request_id,
        "request_id": response.request_id,
        "associatedTopology": dict(response.associated_topology or {}),
    }


def _asked(check: Callable[[], None]) -> dict[str, str]:
    try:
        check()
    except LabError as error:
        return {"status": UNHEALTHY, "why": str(error)}
    return {"status": OK}


def _problem(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    return JSONResponse({"localizedMessage": sentence, "status": status}, status, headers=headers)
