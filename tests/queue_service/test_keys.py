"""Pairs of keys, the document of the public ones, and the tokens that are signed."""

from __future__ import annotations

import stat
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from labs.errors import BadInput
from labs.queue_service.keys import (
    AUDIENCE,
    jwks,
    load_private,
    make_pair,
    sign_token,
    thumbprint,
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_pair(tmp_path_factory.mktemp("lab") / "keys")


def test_a_private_key_is_its_owners_alone_and_is_never_overwritten(
    pair: tuple[Path, Path],
) -> None:
    private, public = pair
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    before = private.read_bytes()
    with pytest.raises(BadInput, match="already"):
        make_pair(private.parent)
    assert private.read_bytes() == before


def test_a_folder_that_can_not_be_is_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(BadInput, match="No keys can be written"):
        make_pair(pair[0] / "below a file")


def test_the_document_has_public_keys_alone_by_their_thumbprints(pair: tuple[Path, Path]) -> None:
    key = load_private(pair[0])
    (entry,) = jwks([key.public_key()])["keys"]
    assert entry["kid"] == thumbprint(key.public_key())
    assert entry.keys() == {"kty", "n", "e", "use", "alg", "kid"}
    assert entry["alg"] == "RS256"


def test_a_thumbprint_is_the_standards() -> None:
    """The example of RFC 7638."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJ"
        "ECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW"
        "2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQ"
        "Fh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    key = jwt.PyJWK({"kty": "RSA", "n": n, "e": "AQAB"}, "RS256").key
    assert thumbprint(key) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_a_token_says_who_for_whom_and_how_long_and_no_two_are_the_same(
    pair: tuple[Path, Path],
) -> None:
    key = load_private(pair[0])
    more = {"buildId": 7, "isPR": False}
    token = sign_token(key, subject="ann", scopes=["sdapi"], life_s=60, issuer="me", claims=more)
    assert token != sign_token(
        key, subject="ann", scopes=["sdapi"], life_s=60, issuer="me", claims=more
    )
    claims = jwt.decode(
        token,
        key.public_key(),  # type: ignore[arg-type]  # it is an RSA key
        ["RS256"],
        audience=AUDIENCE,
        issuer="me",
    )
    assert (claims["sub"], claims["scope"], claims["buildId"]) == ("ann", ["sdapi"], 7)
    assert claims["exp"] - claims["iat"] == 60
    assert jwt.get_unverified_header(token) == {
        "alg": "RS256",
        "typ": "JWT",
        "kid": thumbprint(key.public_key()),
    }


def test_a_key_comes_as_text_too_and_what_is_none_is_refused_unrepeated(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    text = pair[0].read_text().replace("\n", "\\n")
    assert thumbprint(load_private(text).public_key())
    for wrong in (pair[1], pair[1].read_text(), "secret", tmp_path / "nowhere"):
        with pytest.raises(BadInput) as refused:
            load_private(wrong)
        assert refused.value.remedy
        assert "secret" not in str(refused.value)


def test_a_key_that_does_not_fit_the_algorithm_signs_nothing(pair: tuple[Path, Path]) -> None:
    for key, algorithm in (
        (ec.generate_private_key(ec.SECP256R1()), "RS256"),
        (load_private(pair[0]), "ES256"),
        (load_private(pair[0]), "EdDSA"),
    ):
        with pytest.raises(BadInput, match="no key for"):
            sign_token(key, subject="a", scopes=[], algorithm=algorithm)
