"""Public keys as they are written: PEM, as one file has it, and JWKS, as others publish them.

Text comes in, keys that can check tokens of one algorithm come out. A PEM file is somebody's who
means us: what is wrong with it is said. A JWKS is for others too: what is for something else in it
is passed over, and so is a private key or a secret, which has no place there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from labs.errors import BadInput
from labs.queue_service.keys import thumbprint

PEM = re.compile(rb"-----BEGIN ([A-Z ]+)-----.+?-----END \1-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Key:
    """A public key that is accepted."""

    thumbprint: str
    kid: str | None
    """As the JWKS names it; None: of a PEM file, which names none."""
    public: Any


def keys_of(text: bytes, algorithm: str, where: str) -> tuple[Key, ...]:
    """The keys in a PEM file or a JWKS; in the latter, what is for something else is passed over.

    Raises:
        BadInput: it is neither, or a PEM file has a key that can't check tokens. What it holds
            is not said.
    """
    if text.lstrip().startswith(b"{"):
        return tuple(_of_jwks(text, algorithm, where))
    found = [_of_pem(match, algorithm, where) for match in PEM.finditer(text)]
    if not found:
        raise BadInput(
            f"{where} is neither a PEM file with a public key nor a JWKS.",
            remedy="PEM begins with -----BEGIN PUBLIC KEY-----, a JWKS with {.",
        )
    return tuple(found)


def _of_pem(match: re.Match[bytes], algorithm: str, where: str) -> Key:
    kind, block = match.group(1).decode(), match.group(0)
    if "PRIVATE" in kind:
        raise BadInput(
            f"{where} has a private key, and tokens are checked with the public one.",
            remedy="Give the public half alone; whoever has the private one can make tokens.",
        )
    try:
        if kind == "CERTIFICATE":
            public: Any = x509.load_pem_x509_certificate(block).public_key()
        else:
            public = serialization.load_pem_public_key(block)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadInput(
            f"{where} has a {kind.lower()} that can't be read.", remedy="Was it cut off?"
        ) from None
    if why := _unfit(public, algorithm):
        raise BadInput(f"{where}: {why}", remedy="`labs queue-service keys` makes a pair.")
    return Key(thumbprint(public, algorithm), None, public)


def _of_jwks(text: bytes, algorithm: str, where: str) -> Iterator[Key]:
    try:
        listed = json.loads(text)["keys"]
        assert isinstance(listed, list)
    except (ValueError, KeyError, AssertionError, RecursionError):
        raise BadInput(
            f"{where} is no JWKS.", remedy='Such as {"keys": [{"kty": "RSA", …}]}.'
        ) from None
    for jwk in listed:
        if not isinstance(jwk, dict) or "d" in jwk or "k" in jwk:
            continue  # no key; or a private one, or a secret, which has no place here
        if jwk.get("use", "sig") != "sig" or jwk.get("alg", algorithm) != algorithm:
            continue
        kid = jwk.get("kid")
        try:
            public = jwt.PyJWK(jwk, algorithm).key
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, UnsupportedAlgorithm):
            continue
        if not _unfit(public, algorithm):
            named = thumbprint(public, algorithm)
            yield Key(named, kid if isinstance(kid, str) else named, public)


def _unfit(public: PublicKeyTypes | PrivateKeyTypes, algorithm: str) -> str:
    """Why a key can't check tokens of this algorithm; empty if it can."""
    kind = jwt.get_algorithm_by_name(algorithm)
    try:
        return kind.check_key_length(kind.prepare_key(public)) or ""
    except (jwt.PyJWTError, TypeError, ValueError):
        return f"it is no key for {algorithm}."
