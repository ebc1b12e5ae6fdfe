"""Keys that come and go while the service runs: files, and a JWKS behind an address."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import RSAAlgorithm

from labs.broker.ports import free_port
from labs.errors import BadInput
from labs.queue_service.auth import Authenticator
from labs.queue_service.auth_jwks import JwksAddress
from labs.queue_service.auth_keys import source_of
from labs.queue_service.auth_sources import KeyFile
from labs.queue_service.auth_tokens import TokenChecker
from labs.queue_service.keys import jwk_of, jwks, load_private, make_pair, public_pem, sign_token
from labs.task_queue.errors import StoreUnreachable, Unauthorised
from labs.waiting import wait_until

SOON = {"every_s": 0.1, "not_sooner_s": 0.02, "timeout_s": 30.0}
"""For an address that is asked often."""
RARELY = {"every_s": 3600.0, "not_sooner_s": 0.2, "timeout_s": 30.0}
"""For one that is asked when a key is not known."""


@pytest.fixture(scope="module")
def keys() -> list[rsa.RSAPrivateKey]:
    return [rsa.generate_private_key(public_exponent=65_537, key_size=2048) for _ in range(3)]


class Published:
    """A JWKS behind an address: what it answers, and how often it was asked."""

    def __init__(self) -> None:
        self.document: Any = {"keys": []}
        self.status, self.asked = 200, 0
        self.held = threading.Event()
        self.held.set()

    def publish(self, *keys: rsa.RSAPrivateKey) -> None:
        self.document = jwks([key.public_key() for key in keys])

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked += 1
        self.held.wait(30)
        document = self.document
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        handler.send_response(self.status)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Location", "/elsewhere")
        handler.end_headers()
        handler.wfile.write(body)


@pytest.fixture
def published() -> Iterator[tuple[Published, str]]:
    there = Published()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            there.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield there, f"http://127.0.0.1:{server.server_address[1]}/keys.json"
    there.held.set()
    server.shutdown()
    thread.join()
    server.server_close()


Make = Callable[..., Authenticator]


@pytest.fixture
def by_address(published: tuple[Published, str]) -> Iterator[Make]:
    """Make authenticators that ask the address."""
    made: list[Authenticator] = []

    def one(*more: Any, **pace: float) -> Authenticator:
        source = JwksAddress(published[1], "RS256", **pace)
        made.append(Authenticator(tokens=TokenChecker([source, *more])))
        return made[-1]

    yield one
    for authenticator in made:
        authenticator.close()


def by(key: rsa.RSAPrivateKey, **more: Any) -> list[tuple[bytes, bytes]]:
    token = sign_token(key, subject="ann", scopes=["sdapi"], **more)
    return [(b"authorization", token.encode())]


def accepts(authenticator: Authenticator, headers: list[tuple[bytes, bytes]]) -> bool:
    try:
        authenticator.check(headers)
    except Unauthorised:
        return False
    return True


# --- An address -------------------------------------------------------------------------------


def test_a_key_is_chosen_by_the_name_in_the_token(
    published: tuple[Published, str], by_address: Make, keys: list[rsa.RSAPrivateKey]
) -> None:
    published[0].publish(keys[0], keys[1])
    authenticator = by_address(**RARELY)
    assert accepts(authenticator, by(keys[0]))
    assert accepts(authenticator, by(keys[1]))
    wrong_name = jwk_of(keys[1].public_key())["kid"]
    assert not accepts(authenticator, by(keys[0], kid=wrong_name))
    assert not accepts(authenticator, by(keys[2]))


def test_a_key_that_is_not_known_makes_it_look_again(
    published: tuple[Published, str], by_address: Make, keys: list[rsa.RSAPrivateKey]
) -> None:
    there = published[0]
    there.publish(keys[0])
    authenticator = by_address(**RARELY)
    assert accepts(authenticator, by(keys[0]))
    there.publish(keys[0], keys[1])
    wait_until(lambda: accepts(authenticator, by(keys[1])), 30)
    assert there.asked >= 2


def test_many_unknown_keys_at_once_are_one_question_and_soon_after_none(
    published: tuple[Published, str], by_address: Make, keys: list[rsa.RSAPrivateKey]
) -> None:
    there = published[0]
    there.publish(keys[0])
    pace = RARELY | {"not_sooner_s": 0.5}
    authenticator = by_address(**pace)
    assert accepts(authenticator, by(keys[0]))
    headers = by(keys[0], kid="unknown")
    begun, asked = time.monotonic(), there.asked
    with ThreadPoolExecutor(16) as crowd:
        for _ in range(5):
            assert not any(crowd.map(lambda _: accepts(authenticator, headers), range(40)))
    assert there.asked - asked <= 1 + (time.monotonic() - begun) / 0.5


def test_a_key_that_was_taken_away_is_refused_after_a_while_though_its_token_was_good(
    published: tuple[Published, str], by_address: Make, keys: list[rsa.RSAPrivateKey]
) -> None:
    there = published[0]
    there.publish(keys[0], keys[1])
    authenticator = by_address(**SOON)
    token = by(keys[1])
    assert accepts(authenticator, token)
    there.publish(keys[0])
    wait_until(lambda: not accepts(authenticator, token), 30)
    assert accepts(authenticator, by(keys[0]))


@pytest.mark.parametrize(
    ("status", "document"),
    [
        (500, {"keys": []}),
        (302, {"keys": []}),
        (200, b"<html>"),
        (200, {"keys": "none"}),
        (200, []),
        (200, b"[" * 100_000),
        (200, b"{" + b" " * 1_000_001 + b'"keys": []}'),
    ],
    ids=["500", "elsewhere", "a page", "no list", "no object", "nested", "huge"],
)
def test_an_answer_that_makes_no_sense_leaves_the_keys_as_they_were(
    published: tuple[Published, str],
    by_address: Make,
    keys: list[rsa.RSAPrivateKey],
    caplog: pytest.LogCaptureFixture,
    status: int,
    document: object,
) -> None:
    there = published[0]
    there.publish(keys[0])
    authenticator = by_address(**SOON)
    assert accepts(authenticator, by(keys[0]))
    there.status, there.document = status, document
    asked = there.asked
    wait_until(lambda: there.asked >= asked + 4, 30)
    assert accepts(authenticator, by(keys[0]))
    said = [record for record in caplog.records if "can't be read" in record.getMessage()]
    assert len(said) == 1, "it is said once"
    there.status = 200
    there.publish(keys[1])
    wait_until(lambda: not accepts(authenticator, by(keys[0])), 30)


def test_an_empty_set_is_an_answer_no_key_is_good_any_more(
    published: tuple[Published, str], by_address: Make, keys: list[rsa.RSAPrivateKey]
) -> None:
    published[0].publish(keys[0])
    authenticator = by_address(**SOON)
    assert accepts(authenticator, by(keys[0]))
    published[0].publish()
    wait_until(lambda: not accepts(authenticator, by(keys[0])), 30)


def test_an_address_where_nobody_is_keeps_nobody_out_who_is_known_otherwise(
    keys: list[rsa.RSAPrivateKey],
) -> None:
    dead = JwksAddress(f"http://127.0.0.1:{free_port()}/keys", "RS256", **SOON)
    pem = public_pem(keys[0].public_key()).decode()
    authenticator = Authenticator(tokens=TokenChecker([dead, pem]))
    try:
        assert accepts(authenticator, by(keys[0]))
        with pytest.raises(StoreUnreachable, match="could not be fetched yet"):
            authenticator.check(by(keys[1]))
    finally:
        authenticator.close()


def test_a_service_that_starts_before_its_keys_are_there_waits_for_them(
    published: tuple[Published, str], by_address: Make, keys: list[rsa.RSAPrivateKey]
) -> None:
    there = published[0]
    there.publish(keys[0])
    there.held.clear()
    authenticator = by_address(**RARELY)
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(accepts, authenticator, by(keys[0]))
        wait_until(lambda: there.asked, 30)
        there.held.set()
        assert asked.result(30)


def test_closing_ends_the_questions(published: tuple[Published, str], by_address: Make) -> None:
    authenticator = by_address(**SOON)
    wait_until(lambda: published[0].asked, 30)
    authenticator.close()
    wait_until(
        lambda: "keys of tokens" not in {thread.name for thread in threading.enumerate()}, 30
    )


# --- What a set may hold ----------------------------------------------------------------------


def test_what_is_no_public_key_for_signatures_of_this_kind_is_passed_over(
    keys: list[rsa.RSAPrivateKey], tmp_path: Path
) -> None:
    good, other, third = (jwk_of(key.public_key()) for key in keys)
    curve = ec.generate_private_key(ec.SECP256R1())
    weak = rsa.generate_private_key(public_exponent=65_537, key_size=1024)  # noqa: S505
    file = tmp_path / "keys.json"
    listed = [
        good,
        other | {"use": "enc"},
        third | {"alg": "RS512"},
        jwk_of(curve.public_key(), "ES256"),
        jwk_of(weak.public_key()),
        {"kty": "oct", "k": "c2VjcmV0", "kid": "secret"},
        {"kty": "RSA", "kid": "half"},
        {"kty": "?"},
        "no key",
        None,
        RSAAlgorithm.to_jwk(keys[1], as_dict=True),
    ]
    file.write_text(json.dumps({"keys": listed}))
    assert [key.kid for key in KeyFile(file, "RS256").keys] == [good["kid"]]


# --- Files ------------------------------------------------------------------------------------


def test_a_file_that_has_changed_counts_without_a_restart(
    keys: list[rsa.RSAPrivateKey], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    file = tmp_path / "keys"
    file.write_bytes(public_pem(keys[0].public_key()))
    authenticator = Authenticator(tokens=TokenChecker([KeyFile(file, "RS256", look_s=0.0)]))
    old = by(keys[0])
    assert accepts(authenticator, old)
    file.write_bytes(b"-----BEGIN PUBLIC KEY-----\nhalf of i")
    assert accepts(authenticator, old), "a file that is being written is no reason"
    file.unlink()
    assert accepts(authenticator, old)
    file.write_bytes(public_pem(keys[1].public_key()) + public_pem(keys[2].public_key()))
    assert accepts(authenticator, by(keys[1]))
    assert accepts(authenticator, by(keys[2]))
    assert not accepts(authenticator, old)
    file.write_text(json.dumps(jwks([keys[0].public_key()])))
    assert accepts(authenticator, old)
    assert not accepts(authenticator, by(keys[1]))
    assert "The keys that were known stay" in caplog.text


def test_a_file_is_not_looked_at_with_each_request(
    keys: list[rsa.RSAPrivateKey], tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_bytes(public_pem(keys[0].public_key()))
    authenticator = Authenticator(tokens=TokenChecker([KeyFile(file, "RS256", look_s=3600)]))
    file.write_bytes(public_pem(keys[1].public_key()))
    assert accepts(authenticator, by(keys[0]))


def test_keys_come_as_text_with_escaped_line_ends_too(keys: list[rsa.RSAPrivateKey]) -> None:
    text = public_pem(keys[0].public_key()).decode().replace("\n", "\\n")
    assert accepts(Authenticator(tokens=TokenChecker([text])), by(keys[0]))


def test_what_can_not_be_a_source_is_refused_and_not_repeated(tmp_path: Path) -> None:
    private, public = make_pair(tmp_path / "pair")
    short = rsa.generate_private_key(public_exponent=65_537, key_size=1024)  # noqa: S505
    files = {
        "with the public one": private.read_bytes(),
        "neither": b"hello",
        "can't be read": b"-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
        "2048": public_pem(short.public_key()),
        "no key for RS256": public_pem(ec.generate_private_key(ec.SECP256R1()).public_key()),
        "is no JWKS": b"{}",
        "has no key for RS256": b'{"keys": []}',
    }
    for said, content in files.items():
        file = tmp_path / "file"
        file.write_bytes(content)
        with pytest.raises(BadInput, match=said) as refused:
            source_of(file, "RS256")
        assert refused.value.remedy
        assert "MII" not in str(refused.value)
    for url in ("http://ann:secret@localhost/keys", "http://", "https://x:y/"):
        with pytest.raises(BadInput) as refused:
            source_of(url, "RS256")
        assert "secret" not in str(refused.value)
    with pytest.raises(BadInput, match="can't be read"):
        source_of(tmp_path / "nowhere", "RS256")
    with pytest.raises(BadInput, match="by which keys"):
        TokenChecker([])
    key = load_private(private)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert accepts(Authenticator(tokens=TokenChecker([public])), by(key))
