"""The OpenAPI document, made of the same routes and shapes by which requests are answered.

Requests' schemas are pydantic's of their shapes; answers' are those of the values themselves,
with their names as on the wire, and the docstrings of their fields.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from itertools import pairwise
from types import UnionType
from typing import Any, get_args

from pydantic import BaseModel, Field, TypeAdapter
from pydantic.json_schema import models_json_schema

from labs.queue_service import messages
from labs.queue_service.api_answers import JSON, camel
from labs.queue_service.api_routes import Route, Says
from labs.queue_service.problems import MEDIA_TYPE
from labs.queue_service.shapes import LONGEST_KEY
from labs.queue_service.shapes_verbs import Query

Schema = dict[str, Any]

REF = "#/components/schemas/{model}"
ABOUT = """Builds of jobs, queued once, in order, on schedule, until a worker has done them.

A message asks for one build of one job. `POST /v1/queue/message` enqueues it, once for each
`buildId`; workers `claim` it with a lease, and settle it with the claim's `owner` and `move`.
"""


class WrongSaid(BaseModel):
    """A field that is not as it must be."""

    field: str = Field(examples=["blockedBy.0"])
    detail: str


class ScopeSaid(BaseModel):
    """What a token does not have."""

    need: str
    got: list[str]


class ProblemSaid(BaseModel):
    """What went wrong: a sentence, and what to do next. Then the known service's words."""

    type: str = Field(examples=["urn:queue-service:UnknownMessage"])
    title: str
    status: int
    detail: str
    remedy: str
    errors: list[WrongSaid] = Field([], description="Each field that is not as it must be.")
    statusCode: int  # noqa: N815 - as on the wire
    error: str
    message: str
    data: ScopeSaid | None = None


WITH_BODY = {
    408: "The body took too long",
    413: "The body is too long",
    415: "The body is no JSON, by its Content-Type",
}
NAMED = {421: "The server has not the name that Host says"}
ASKED = {422: "Not as it must be; `errors` names the fields"}
KNOWN = {401: "Nothing shows who asks, or it counts for nothing"}
ANOTHERS = {403: "A browser has sent it for a page from elsewhere"}
MAY_NOT = {403: "The scope is not among the token's, or a browser has sent it for another page"}
OFTEN = {429: "Too many requests, or too many wait"}
AWAY = {503: "The store does not answer, or the server is about to stop"}


def document(routes: Sequence[Route], challenges: Sequence[str]) -> Schema:
    """The document.

    Args:
        challenges: how one can show who one is; none: all are let in.
    """
    kinds = {
        kind
        for route in routes
        for says in route.answers.values()
        for kind in _each(says.kind)
        if hasattr(kind, "__dataclass_fields__")
    }
    shapes: set[type[BaseModel]] = {ProblemSaid}
    shapes.update(shape for route in routes for shape in route.bodies)
    schemes = _schemes(challenges)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, list(schemes))
    components: Schema = {"schemas": _schemas(shapes) | _values(kinds)}
    if schemes:
        components["securitySchemes"] = schemes
    return {
        "openapi": "3.1.0",
        "info": {"title": "Queue service", "version": "1", "description": ABOUT},
        "paths": paths,
        "components": components,
    }


# --- Operations -------------------------------------------------------------------------------


def _operation(route: Route, schemes: Sequence[str]) -> Schema:
    known = bool(schemes) and not route.open
    name = f"{route.method.lower()}_{route.path.strip('/').replace('/', '_').replace('.', '_')}"
    about = route.about
    if known and route.scope:
        about += f" Needs the scope `{route.scope}`."
    said: Schema = {"operationId": name, "summary": about}
    if parameters := [*_parameters(route.query), *_key(route)]:
        said["parameters"] = parameters
    if route.bodies:
        said["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": _any_of([_ref(shape) for shape in route.bodies])}},
        }
    refusals = {
        **(WITH_BODY | ANOTHERS if route.bodies else {}),
        **(ASKED if route.bodies or route.store else {}),
        **(KNOWN if known else {}),
        **(MAY_NOT if known and route.scope else {}),
        **NAMED,
        **({} if route.open else OFTEN),
        **(AWAY if route.store else {}),
        **route.refuses,
    }
    said["responses"] = {str(status): _answer(one) for status, one in route.answers.items()} | {
        str(status): _refusal(status, why) for status, why in sorted(refusals.items())
    }
    if known:
        said["security"] = [{scheme: []} for scheme in schemes]
        if route.open_here:
            said["security"].insert(0, {})
    return said


def _parameters(query: type[Query] | None) -> list[Schema]:
    if query is None:
        return []
    schema = query.model_json_schema(by_alias=True)
    found = []
    for name, one in schema["properties"].items():
        inner = _inlined(one, schema.get("$defs", {}))
        parameter: Schema = {"name": name, "in": "query", "required": False}
        if about := inner.pop("description", None):
            parameter["description"] = about
        found.append({**parameter, "schema": _no_null(inner)})
    return found


def _key(route: Route) -> list[Schema]:
    if not route.key:
        return []
    about = "Tells tries of one request apart from your others; honoured for a day, for a start."
    pattern = "^[!-~]+$"
    schema = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": pattern}
    return [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "description": about,
            "schema": schema,
        }
    ]


def _answer(says: Says) -> Schema:
    schema: Schema = {}
    if says.kind is str:
        schema = {"type": "string"}
    elif says.kind is not None:
        schema = _any_of([_ref(kind) for kind in _each(says.kind)])
    content: Schema = {"schema": schema}
    if says.example is not None:
        content["example"] = says.example
    said: Schema = {"description": says.about, "content": {says.media_type: content}}
    if says.headers:
        said["headers"] = {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in says.headers.items()
        }
    return said


def _refusal(status: int, why: str) -> Schema:
    said: Schema = {"description": why, "content": {MEDIA_TYPE: {"schema": _ref(ProblemSaid)}}}
    header = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}.get(status)
    if header:
        said["headers"] = {header: {"schema": {"type": "string"}}}
    return said


def _schemes(challenges: Sequence[str]) -> Mapping[str, Schema]:
    words = [challenge.split()[0].lower() for challenge in challenges]
    found: dict[str, Schema] = {}
    if "bearer" in words:
        found["token"] = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        found["cookie"] = {"type": "apiKey", "in": "cookie", "name": "token"}
    if "basic" in words:
        found["password"] = {"type": "http", "scheme": "basic"}
    return found


# --- Schemas ----------------------------------------------------------------------------------


def _schemas(shapes: Iterable[type[BaseModel]]) -> Schema:
    ordered = sorted(shapes, key=lambda shape: shape.__name__)
    _, made = models_json_schema([(shape, "validation") for shape in ordered], ref_template=REF)
    schemas: Schema = made["$defs"]
    return schemas


def _values(kinds: Iterable[type]) -> Schema:
    """Those of the values of answers: names as on the wire, nothing missing."""
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, made = TypeAdapter.json_schemas(
        [(kind, "serialization", TypeAdapter(kind)) for kind in ordered], ref_template=REF
    )
    schemas: Schema = made["$defs"]
    docs = _docs()
    for name, schema in schemas.items():
        if "properties" not in schema:
            continue
        schema["properties"] = {
            camel(field): {**one, **docs.get((name, field), {})}
            for field, one in schema["properties"].items()
        }
        schema["required"] = list(schema["properties"])
    return schemas


@cache
def _docs() -> Mapping[tuple[str, str], Schema]:
    """(class, field) -> what stands below it in `messages`."""
    found = {}
    tree = ast.parse(inspect.getsource(messages))
    for kind in tree.body:
        if not isinstance(kind, ast.ClassDef):
            continue
        for one, below in pairwise(kind.body):
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[kind.name, one.target.id] = {"description": inspect.cleandoc(text)}
    return found


def _each(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if isinstance(kind, UnionType) else (kind,)


def _ref(kind: type) -> Schema:
    return {"$ref": REF.format(model=kind.__name__)}


def _any_of(schemas: Sequence[Schema]) -> Schema:
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)}


def _inlined(schema: Schema, defs: Mapping[str, Schema]) -> Schema:
    """With what it refers to in place of the references."""
    if ref := schema.get("$ref"):
        return {**defs[ref.rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}}
    inner = {k: [_inlined(one, defs) for one in v] for k, v in schema.items() if k == "anyOf"}
    return {**schema, **inner}


def _no_null(schema: Schema) -> Schema:
    """A parameter is there or not; it can't be null."""
    plain = {k: v for k, v in schema.items() if k not in ("anyOf", "title") and v is not None}
    some = [one for one in schema.get("anyOf", []) if one.get("type") != "null"]
    return (
        {**plain, **some[0]} if len(some) == 1 else {**plain, **({"anyOf": some} if some else {})}
    )
