"""Keys and tokens: a pair is made, its public half published (JWKS), tokens signed with the other.

A private key is a file that its owner alone may read; it is never printed. A key is known by its
thumbprint (RFC 7638), which is also the `kid` of the tokens that it has signed: it needs no name,
and a new pair has another one. `auth_keys` reads what is accepted.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from labs.errors import BadInput

ALGORITHM = "RS256"
ASYMMETRIC = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""What may be configured in its place. With none of these does a public key make a token."""
AUDIENCE = "queue-service"
"""For whom a token is, unless something else is configured."""
BITS = 2048
LIFE_S = 3600.0
"""As long as the known service's tokens live."""
PRIVATE_NAME, PUBLIC_NAME = "private.pem", "public.pem"
THUMBED = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}


def make_pair(folder: Path, *, bits: int = BITS) -> tuple[Path, Path]:
    """Make an RSA pair: `private.pem` for its owner alone, `public.pem` for everybody.

    Raises:
        BadInput: there is a private key already (it is never overwritten), or the folder can't
            be written to.
    """
    key = rsa.generate_private_key(public_exponent=65_537, key_size=bits)
    private, public = folder / PRIVATE_NAME, folder / PUBLIC_NAME
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_new(private, pem, mode=0o600)
        public.write_bytes(public_pem(key.public_key()))
        public.chmod(0o644)
    except FileExistsError:
        raise BadInput(
            f"There is a key at {private} already.",
            remedy="Use it, or take another folder: tokens it has signed count for nothing "
            "once it is gone.",
        ) from None
    except OSError as error:
        raise BadInput(
            f"No keys can be written to {folder}: {error.strerror}.", remedy="Take another folder."
        ) from error
    return private, public


def write_new(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that was not there, which nobody else could read at any time.

    Raises:
        OSError: it is there, or can't be written.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def public_pem(key: PublicKeyTypes) -> bytes:
    """A public key as PEM."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def load_private(source: Path | str) -> PrivateKeyTypes:
    """A private key: of a file, or of PEM text (as an environment variable has it).

    Raises:
        BadInput: it can't be read, or is none. What it holds is never said.
    """
    if isinstance(source, Path):
        try:
            pem = source.read_bytes()
        except OSError as error:
            raise BadInput(
                f"The key {source} can't be read: {error.strerror}.",
                remedy="`labs queue-service keys` makes a pair.",
            ) from error
    else:
        pem = source.replace("\\n", "\n").encode()
    try:
        return serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise BadInput(
            "That is no private key in PEM, or one with a password.",
            remedy="It begins with -----BEGIN PRIVATE KEY-----; a public one can't sign.",
        ) from None


def jwk_of(key: PublicKeyTypes, algorithm: str = ALGORITHM) -> dict[str, Any]:
    """A public key as a JSON Web Key, its thumbprint as `kid`.

    Raises:
        BadInput: the key is none for the algorithm.
    """
    try:
        made = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
    except (jwt.PyJWTError, NotImplementedError, TypeError, AttributeError):
        raise BadInput(
            f"That is no key for {algorithm}.", remedy="RS256 wants an RSA key, ES256 one of P-256."
        ) from None
    jwk = {name: value for name, value in made.items() if name != "key_ops"}
    return {**jwk, "use": "sig", "alg": algorithm, "kid": _thumbprint(jwk)}


def thumbprint(key: PublicKeyTypes, algorithm: str = ALGORITHM) -> str:
    """What names a key: the same wherever it is read from (RFC 7638).

    Raises:
        BadInput: the key is none for the algorithm.
    """
    return str(jwk_of(key, algorithm)["kid"])


def jwks(keys: Iterable[PublicKeyTypes], algorithm: str = ALGORITHM) -> dict[str, Any]:
    """The document by which others learn the public keys."""
    return {"keys": [jwk_of(key, algorithm) for key in keys]}


def sign_token(
    key: PrivateKeyTypes,
    *,
    subject: str,
    scopes: Iterable[str],
    life_s: float = LIFE_S,
    audience: str | None = AUDIENCE,
    issuer: str | None = None,
    algorithm: str = ALGORITHM,
    kid: str | None = None,
    claims: Mapping[str, Any] | None = None,
) -> str:
    """A token of this subject with these scopes, good for so long from now.

    Args:
        kid: names the key; None: its thumbprint.
        claims: more of them, such as `buildId`; one that the token has anyway wins over its own.

    Raises:
        BadInput: the key is none for the algorithm, or the algorithm can't be meant.
    """
    if algorithm not in ASYMMETRIC:
        raise BadInput(
            f"Tokens are not signed with {algorithm!r:.40}.",
            remedy=f"Take one of {', '.join(sorted(ASYMMETRIC))}.",
        )
    now = int(time.time())
    said: dict[str, Any] = {"sub": subject, "scope": list(scopes), "jti": secrets.token_hex(16)}
    said |= {"iat": now, "exp": int(now + life_s)}
    said |= {name: value for name, value in (("aud", audience), ("iss", issuer)) if value}
    said |= dict(claims or {})
    headers = {"kid": thumbprint(key.public_key(), algorithm) if kid is None else kid}
    return jwt.encode(said, key, algorithm, headers)  # type: ignore[arg-type]  # it fits: see above


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    wanted = {name: jwk[name] for name in THUMBED[jwk["kty"]]}
    text = json.dumps(wanted, sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
