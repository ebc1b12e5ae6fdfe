"""What is kept in `.labs/` about the broker in use: where it is, and how it came to be.

`amqp-url` is one line for programs and people; `state.json` is for the kit. Both
hold the password and are readable by their owner alone. What can't be read counts
as not there: a broker that still runs is found by its own files.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import labs
from labs.broker.address import Address, parse_amqp_url
from labs.broker.files import read_json, write_private
from labs.errors import BadInput

ROOT = Path(labs.__file__).parent.parent
"""The checkout."""


class Source(StrEnum):
    """How the broker came to be."""

    SERVER = "server"
    """A class server or any other that somebody else runs: given by its URL."""
    NATIVE = "native"
    """A private node of the installed RabbitMQ."""
    DOCKER = "docker"
    """A container, through docker-compose.yml."""


@dataclass(frozen=True)
class FoundBroker:
    """A broker and how it was found."""

    address: Address
    source: Source

    @property
    def is_ours(self) -> bool:
        """Whether the kit started it, and may stop and restart it."""
        return self.source is not Source.SERVER


def labs_home() -> Path:
    """The folder for all that the kit writes: the environment's `LABS_HOME`, else `.labs`."""
    named = os.environ.get("LABS_HOME")
    return Path(named).absolute() if named else ROOT / ".labs"


def remember(found: FoundBroker) -> None:
    """Leave word where the broker is."""
    home = labs_home()
    known = {
        "source": str(found.source),
        "url": found.address.url,
        "management_url": found.address.management_url,
    }
    write_private(home / "state.json", json.dumps(known, indent=1) + "\n")
    write_private(home / "amqp-url", found.address.url + "\n")


def recall() -> FoundBroker | None:
    """The broker that was left word of; None where there is no word, or none that can be read."""
    known = read_json(labs_home() / "state.json")
    try:
        address = parse_amqp_url(known["url"])
        source = Source(known["source"])
    except (KeyError, ValueError, AttributeError, BadInput):
        return None
    management = known.get("management_url")
    return FoundBroker(replace(address, management_url=management), source)


def is_torn() -> bool:
    """Whether word was left that can't be read."""
    return (labs_home() / "state.json").exists() and recall() is None


def forget() -> None:
    """Take the word back: there is no broker any more."""
    for name in ("state.json", "amqp-url"):
        (labs_home() / name).unlink(missing_ok=True)
