"""From the JSON of an answer back to a value of `messages`, by the types of its fields.

On the wire the names are in camelCase: `blockedBy` is `blocked_by`. What else an answer holds is
passed over, so that an older client reads a newer service; what is missing, or is something else,
is a KeyError, TypeError or ValueError: it is not our service that speaks so.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from labs.queue_service.api_answers import camel
from labs.task_queue.tasks import Json

T = TypeVar("T")
Reader = Callable[[Any], Any]


def read(kind: type[T], said: Json) -> T:
    """The value of this type that was said.

    Raises:
        KeyError, TypeError, ValueError: no such value was.
    """
    return cast(T, _reader(cast(Hashable, kind))(said))


@cache
def _reader(kind: Any) -> Reader:
    """How values of a type are read."""
    if kind is Any:
        return lambda said: said
    if kind is datetime:
        return datetime.fromisoformat
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    if is_dataclass(kind):
        return _of_fields(cast(type, kind))
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _or_nothing(*(one for one in inner if one is not NoneType))
    if origin in (tuple, Sequence):
        return _many(_reader(inner[0]), tuple if origin is tuple else list)
    if origin is Mapping:
        return _mapping(*(_reader(one) for one in inner))
    return _exactly(float if kind is float else kind)


def _of_fields(kind: type) -> Reader:
    hints = get_type_hints(kind)
    known = [
        (one.name, camel(one.name), _reader(hints[one.name]), one.default, one.default_factory)
        for one in fields(kind)
    ]

    def reads(said: Any) -> Any:
        found = _exactly(dict)(said)
        values = {}
        for name, there, reader, default, factory in known:
            if there in found:
                values[name] = reader(found[there])
            elif default is MISSING and factory is MISSING:
                raise KeyError(there)
        return kind(**values)

    return reads


def _or_nothing(kind: Any) -> Reader:
    reader = _reader(kind)
    return lambda said: None if said is None else reader(said)


def _many(reader: Reader, kind: type) -> Reader:
    return lambda said: kind(reader(one) for one in _exactly(list)(said))


def _mapping(key: Reader, value: Reader) -> Reader:
    return lambda said: {key(k): value(v) for k, v in _exactly(dict)(said).items()}


def _exactly(kind: type) -> Reader:
    """As it is, if it is of this type; a whole number is a float, true is no number."""
    fits = (int, float) if kind is float else (kind,)

    def reads(said: Any) -> Any:
        if type(said) not in fits:
            raise TypeError(f"{said!r:.80} is no {kind.__name__}")
        return float(said) if kind is float else said

    return reads
