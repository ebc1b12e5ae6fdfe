"""Ids as Kubernetes label values: 63 characters of few kinds, where a task's id may be any text.

An id that can be a label's value is one. Others are written in base32 behind `x-`, as far as
there is room, and else as a digest behind `h-`, with the id itself in an annotation. Which it is
can be told from the label, and two ids never have the same one.
"""

from __future__ import annotations

import base64
import hashlib
import re
from binascii import Error

LONGEST = 63
LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
WRITTEN, DIGEST = "x-", "h-"


def label_of(id_: str) -> str:
    """The label's value that stands for the id."""
    if LABEL.fullmatch(id_) and not id_.startswith((WRITTEN, DIGEST)):
        return id_
    written = WRITTEN + base64.b32hexencode(id_.encode()).decode().rstrip("=").lower()
    if len(written) <= LONGEST:
        return written
    return (DIGEST + hashlib.sha256(id_.encode()).hexdigest())[:LONGEST]


def is_digest(label: str) -> bool:
    """Whether the id can't be read from the label."""
    return label.startswith(DIGEST)


def id_of(label: str) -> str | None:
    """The id for which the label stands; None for a digest, and for what is no label of ours."""
    if is_digest(label):
        return None
    if not label.startswith(WRITTEN):
        return label
    text = label.removeprefix(WRITTEN).upper()
    try:
        return base64.b32hexdecode(text + "=" * (-len(text) % 8)).decode()
    except (Error, ValueError):
        return None


def annotation_of(id_: str) -> str:
    """The id as an annotation's value: Argo splits what it is given at commas and equal signs."""
    return base64.urlsafe_b64encode(id_.encode()).decode().rstrip("=")


def id_in(annotation: str) -> str | None:
    """The id in the annotation; None if it is not ours."""
    try:
        return base64.urlsafe_b64decode(annotation + "=" * (-len(annotation) % 4)).decode()
    except (Error, ValueError):
        return None
