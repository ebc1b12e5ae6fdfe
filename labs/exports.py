"""The names at a package's door, each imported when it is first asked for (PEP 562).

So the door of a room can show all that is in it, and who wants one thing needs no other's
libraries. If a library is missing, the error says which extra has it.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def exported(package: str, exports: Mapping[str, str], name: str, *, extra: str) -> Any:
    """What a package's `__getattr__` returns.

    Args:
        exports: name -> module:name there, the module within the package.
        extra: the part of the kit that brings the package's libraries.

    Raises:
        AttributeError: the package has no such name.
        ModuleNotFoundError: a library is missing.
    """
    if name not in exports:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    module, _, there = exports[name].partition(":")
    try:
        return getattr(importlib.import_module(f"{package}.{module}"), there)
    except ModuleNotFoundError as error:
        if (error.name or "labs").partition(".")[0] == "labs":
            raise
        raise ModuleNotFoundError(
            f"{name} needs the library {error.name}. Install the extra: "
            f"pip install 'queue-labs[{extra}]'.",
            name=error.name,
        ) from error
