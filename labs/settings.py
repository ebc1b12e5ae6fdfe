"""Settings of the four systems: from a YAML file, the environment and arguments, into a model.

A later source wins over an earlier one, key by key. Keys are dotted paths such as
`messaging.topics.job_queue.name`; in the environment that is
`LABS_MESSAGING__TOPICS__JOB_QUEUE__NAME`, its value written as in YAML. A key that the
model does not know is refused by name, from wherever it comes: a slip of the pen must not
become a default that nobody asked for. `table_of` writes a model's keys as a table.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails, PydanticUndefined

from labs.errors import BadInput

PREFIX = "LABS_"
NESTED = "__"


class Section(BaseModel):
    """A group of keys: frozen, and strangers are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Section)


def load(
    model: type[S],
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    arguments: Mapping[str, object] | None = None,
) -> S:
    """Read the settings: first the file, then the environment, then the arguments.

    Args:
        file: a YAML file.
        environ: variables; those that do not begin with `LABS_<a section of the model>__`
            are not ours.
        arguments: dotted keys to values.

    Raises:
        BadInput: the file can't be read or is no mapping; a key is unknown, a value not
            of its kind. The sentence names the key and where it came from.
    """
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    if file is not None:
        for path, value in _leaves(_read(file)):
            _put(merged, path, value)
            origin[".".join(path)] = str(file)
    for name, text in (environ or {}).items():
        path = tuple(name.removeprefix(PREFIX).lower().split(NESTED))
        if name.startswith(PREFIX) and len(path) > 1 and path[0] in model.model_fields:
            _put(merged, path, _value(name, text))
            origin[".".join(path)] = name
    for key, value in (arguments or {}).items():
        _put(merged, tuple(key.split(".")), value)
        origin[key] = f"the argument {key}"
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        raise _refusal(model, error.errors()[0], origin) from None


def table_of(model: type[Section]) -> str:
    """The model's keys as a Markdown table: key, default, meaning."""
    rows = ["| key | default | meaning |", "| --- | --- | --- |"]
    for key, default, meaning in _keys(model, ()):
        rows.append(f"| `{key}` | {default} | {meaning} |")
    return "\n".join(rows)


def derived_name(application: str) -> str:
    """What queues and topics of an application begin with: `My App!` gives `My_App`.

    The rule is the known one: letters, digits, - and _ stay, a run of blanks becomes one _.

    Raises:
        BadInput: nothing is left.
    """
    name = re.sub(r" +", "_", re.sub(r"[^A-Za-z0-9\-_ ]", "", application).strip())
    if not name:
        raise BadInput(
            f"No queue or topic can be named after the application {application!r}.",
            remedy="Give application.name letters or digits (A-Z, a-z, 0-9).",
        )
    return name


def _keys(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    for name, info in model.model_fields.items():
        path = (*above, info.alias or name)
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, path)
            continue
        if info.default is not PydanticUndefined:
            default = info.default
        elif info.default_factory is not None:
            default = info.get_default(call_default_factory=True, validated_data={})
        else:
            default = "required"
        yield ".".join(path), _shown(default), info.description or ""


def _shown(default: object) -> str:
    if default in (None, "required"):
        return "" if default is None else "required"
    text = yaml.safe_dump(default, default_flow_style=True).removesuffix("...\n").strip()
    return f"`{text}`"


def _read(file: Path) -> Mapping[str, Any]:
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(
            f"The settings file {file} can't be read: {why}.",
            remedy="Give the path of a YAML file.",
        ) from error
    except yaml.YAMLError as error:
        raise BadInput(
            f"The settings file {file} is not YAML: {error}.",
            remedy="Mind the indentation: two blanks a level, no tabs.",
        ) from error
    if read is None:
        return {}
    if not isinstance(read, dict):
        raise BadInput(
            f"The settings file {file} holds no keys, but a {type(read).__name__}.",
            remedy="Write `key: value` lines.",
        )
    return read


def _value(name: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(
            f"The variable {name} can't be read as YAML.",
            remedy="Put quotes around a value with a colon, braces or brackets.",
        ) from error


def _leaves(
    tree: Mapping[str, Any], above: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in tree.items():
        path = (*above, str(key))
        if isinstance(value, dict) and value:
            yield from _leaves(value, path)
        else:
            yield path, value


def _put(tree: MutableMapping[str, Any], path: tuple[str, ...], value: object) -> None:
    for key in path[:-1]:
        below = tree.get(key)
        if not isinstance(below, dict):
            below = tree[key] = {}
        tree = below
    tree[path[-1]] = value


def _refusal(model: type[Section], error: ErrorDetails, origin: Mapping[str, str]) -> BadInput:
    key = ".".join(str(part) for part in error["loc"])
    where = next((src for path, src in origin.items() if (path + ".").startswith(key + ".")), None)
    place = f" (from {where})" if where else ""
    known = [one for one, _, _ in _keys(model, ())]
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, known, n=1)
        remedy = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}."
        return BadInput(f"There is no setting {key}{place}.", remedy=remedy)
    if error["type"] == "missing":
        required = (one for one, default, _ in _keys(model, ()) if default == "required")
        key = next((one for one in required if f"{one}.".startswith(f"{key}.")), key)
        variable = PREFIX + key.replace(".", NESTED).upper()
        return BadInput(
            f"The setting {key} is missing.",
            remedy=f"Set it in the settings file, or as {variable}.",
        )
    return BadInput(
        f"The setting {key}{place} is not right: {error['msg']}.",
        remedy="The README's table says what each setting may be.",
    )
