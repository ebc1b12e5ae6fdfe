"""Who asks: tokens that are good, all the ways in which one is not, and what a refusal says."""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from labs.errors import BadInput
from labs.queue_service.auth import (
    SLOW_AT_ONCE,
    SLOW_WAITING,
    Authenticator,
    Principal,
    credentials_of,
)
from labs.queue_service.auth_tokens import LONGEST_B, TokenChecker
from labs.queue_service.errors import Forbidden, Overloaded
from labs.queue_service.keys import AUDIENCE, jwk_of, public_pem, sign_token
from labs.queue_service.passwords import PasswordFile
from labs.task_queue.errors import Unauthorised
from labs.waiting import wait_until

Headers = list[tuple[bytes, bytes]]
MISSING, INVALID, EXPIRED = "Missing authentication", "Invalid token", "Expired token"


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2048)


@dataclass(frozen=True)
class Ground:
    """The service's own key, the API's, and a stranger's; a service that accepts the first two."""

    ours: rsa.RSAPrivateKey
    apis: rsa.RSAPrivateKey
    strangers: rsa.RSAPrivateKey
    authenticator: Authenticator

    def token(self, **changed: Any) -> str:
        """A good token, or one that is bad in one way."""
        key = changed.pop("key", self.ours)
        return sign_token(key, **({"subject": "ann", "scopes": ["sdapi"]} | changed))

    def without(self, claim: str) -> str:
        """A token of ours that has no such claim."""
        claims = read(self.token().split(".")[1])
        del claims[claim]
        return signed(self.ours, {"alg": "RS256"}, claims)


@pytest.fixture(scope="module")
def ground() -> Ground:
    ours, apis, strangers = rsa_key(), rsa_key(), rsa_key()
    keys = [public_pem(key.public_key()).decode() for key in (ours, apis)]
    return Ground(ours, apis, strangers, Authenticator(tokens=TokenChecker(keys)))


def written(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def signed(key: rsa.RSAPrivateKey, header: object, claims: object) -> str:
    """What no library would sign."""
    text = f"{written(header)}.{written(claims)}"
    signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def bearer(token: str | bytes) -> Headers:
    raw = token if isinstance(token, bytes) else token.encode()
    return [(b"host", b"localhost"), (b"authorization", b"Bearer " + raw)]


# --- What is good -----------------------------------------------------------------------------


def test_a_token_says_who_asks_and_what_they_may(ground: Ground) -> None:
    principal = ground.authenticator.check(bearer(ground.token()), "sdapi")
    assert principal == Principal("ann", frozenset({"sdapi"}))


def test_two_keys_are_accepted_the_services_own_and_the_apis(ground: Ground) -> None:
    for key in (ground.ours, ground.apis):
        assert ground.authenticator.check(bearer(ground.token(key=key)), "sdapi").subject == "ann"


@pytest.mark.parametrize(
    ("name", "form", "ambient"),
    [
        (b"authorization", "Bearer {}", False),
        (b"authorization", "bearer   {} ", False),
        (b"authorization", "{}", False),
        (b"cookie", "token={}", True),
        (b"cookie", 'theme=dark; token="{}"; a=b', True),
    ],
)
def test_a_token_comes_with_or_without_bearer_or_as_a_cookie(
    ground: Ground, name: bytes, form: str, ambient: bool
) -> None:
    headers = [(name, form.format(ground.token()).encode())]
    assert ground.authenticator.check(headers).ambient is ambient


def test_the_same_token_is_no_cookie_because_it_once_was_one(ground: Ground) -> None:
    token = ground.token()
    assert ground.authenticator.check([(b"cookie", f"token={token}".encode())]).ambient
    assert not ground.authenticator.check(bearer(token)).ambient


@pytest.mark.parametrize(
    "scope", ["sdapi", ["sdapi"], ["user", "sdapi"], "user sdapi", ["sdapi", 7, None]]
)
def test_scopes_are_a_list_or_text(ground: Ground, scope: object) -> None:
    token = ground.token(claims={"scope": scope})
    assert "sdapi" in ground.authenticator.check(bearer(token), "sdapi").scopes


def test_a_build_token_of_the_known_service_names_its_user(ground: Ground) -> None:
    claims = {"username": 17, "buildId": 17, "jobId": 3, "isPR": False, "scope": ["build"]}
    claims |= {"exp": time.time() + 60, "aud": AUDIENCE, "iat": time.time()}
    token = signed(ground.apis, {"alg": "RS256", "typ": "JWT"}, claims)
    assert ground.authenticator.check(bearer(token)).subject == "17"


def test_a_token_may_end_when_no_clock_will(ground: Ground) -> None:
    token = with_claims(exp=10**400)(ground)
    for _ in range(2):
        assert ground.authenticator.check(bearer(token)).subject == "ann"


def test_another_asymmetric_algorithm_can_be_configured() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = public_pem(key.public_key()).decode()
    authenticator = Authenticator(tokens=TokenChecker([pem], algorithm="ES256"))
    token = sign_token(key, subject="ann", scopes=["sdapi"], algorithm="ES256")
    assert authenticator.check(bearer(token), "sdapi").subject == "ann"


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "", "rs256"])
def test_an_algorithm_by_which_a_public_key_makes_tokens_can_not_be_configured(
    ground: Ground, algorithm: str
) -> None:
    pem = public_pem(ground.ours.public_key()).decode()
    with pytest.raises(BadInput, match="not checked with"):
        TokenChecker([pem], algorithm=algorithm)
    with pytest.raises(BadInput, match="not signed with"):
        sign_token(ground.ours, subject="a", scopes=[], algorithm=algorithm)


def test_an_issuer_can_be_asked_for_and_an_audience_left_out(ground: Ground) -> None:
    pem = public_pem(ground.ours.public_key()).decode()
    asks = Authenticator(tokens=TokenChecker([pem], audience=None, issuer="sd-api"))
    assert asks.check(bearer(ground.token(issuer="sd-api", audience=None)))
    for wrong in ({"issuer": "else", "audience": None}, {"audience": None}, {"issuer": "sd-api"}):
        with pytest.raises(Unauthorised, match=INVALID):
            asks.check(bearer(ground.token(**wrong)))


# --- What is not ------------------------------------------------------------------------------


def unsigned(alg: str) -> Callable[[Ground], str]:
    def made(ground: Ground) -> str:
        return f"{written({'alg': alg, 'typ': 'JWT'})}.{ground.token().split('.')[1]}."

    return made


def by_the_public_key(ground: Ground) -> str:
    """The known confusion: an HS256 token whose secret is what everybody may read."""
    text = f"{written({'alg': 'HS256', 'typ': 'JWT'})}.{ground.token().split('.')[1]}"
    secret = public_pem(ground.ours.public_key())
    signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def with_header(**more: object) -> Callable[[Ground], str]:
    """Signed by a stranger, whose key the header would bring along, or by us with an odd header."""

    def made(ground: Ground) -> str:
        key = ground.strangers if more.keys() & {"kid", "jku", "jwk", "x5u"} else ground.ours
        return signed(key, {"alg": "RS256", **more}, read(ground.token().split(".")[1]))

    return made


def with_claims(**claims: object) -> Callable[[Ground], str]:
    return lambda ground: ground.token(claims=claims)


def changed(part: int) -> Callable[[Ground], str]:
    def made(ground: Ground) -> str:
        parts = ground.token().split(".")
        if part == 1:
            parts[1] = written(read(parts[1]) | {"scope": ["admin"]})
        else:
            parts[2] = ("B" if parts[2][9] != "B" else "C").join([parts[2][:9], parts[2][10:]])
        return ".".join(parts)

    return made


def nested(ground: Ground, where: int) -> str:
    parts = ground.token().split(".")
    parts[where] = written("[" * 5000)
    return ".".join(parts)


def always(token: str) -> Callable[[Ground], str]:
    return lambda _: token


BAD: dict[str, tuple[str, Callable[[Ground], str]]] = {
    "alg none": (INVALID, unsigned("none")),
    "alg None": (INVALID, unsigned("nOnE")),
    "no alg": (INVALID, lambda g: signed(g.ours, {"typ": "JWT"}, read(g.token().split(".")[1]))),
    "alg empty": (INVALID, unsigned("")),
    "HS256 by the public key": (INVALID, by_the_public_key),
    "RS512": (INVALID, lambda g: g.token(algorithm="RS512")),
    "RS384": (INVALID, lambda g: g.token(algorithm="RS384")),
    "PS256": (INVALID, lambda g: g.token(algorithm="PS256")),
    "a stranger's": (INVALID, lambda g: g.token(key=g.strangers)),
    "changed claims": (INVALID, changed(1)),
    "changed signature": (INVALID, changed(2)),
    "no signature": (INVALID, lambda g: g.token().rpartition(".")[0] + "."),
    "kid is a path": (INVALID, with_header(kid="../../../../dev/null")),
    "kid is an address": (INVALID, with_header(kid="http://127.0.0.1:1/keys")),
    "kid is SQL": (INVALID, with_header(kid="' OR 1=1 --")),
    "kid is a number": (INVALID, with_header(kid=7)),
    "kid is a list": (INVALID, with_header(kid=[])),
    "jku": (INVALID, with_header(jku="http://127.0.0.1:1/keys")),
    "x5u": (INVALID, with_header(x5u="http://127.0.0.1:1/keys")),
    "its own key": (INVALID, lambda g: with_header(jwk=jwk_of(g.strangers.public_key()))(g)),
    "crit that nobody knows": (INVALID, with_header(crit=["x"], x=1)),
    "b64 off": (INVALID, with_header(b64=False, crit=["b64"])),
    "no exp": (INVALID, lambda g: g.without("exp")),
    "exp is null": (INVALID, with_claims(exp=None)),
    "exp is text": (INVALID, with_claims(exp="tomorrow")),
    "exp is infinite": (INVALID, with_claims(exp=float("inf"))),
    "exp is a list": (INVALID, with_claims(exp=[2_000_000_000])),
    "over": (EXPIRED, lambda g: g.token(life_s=-10)),
    "long over": (EXPIRED, with_claims(exp=0)),
    "not yet": (INVALID, with_claims(nbf=time.time() + 3600)),
    "nbf is text": (INVALID, with_claims(nbf="x")),
    "from the future": (INVALID, with_claims(iat=time.time() + 3600)),
    "for somebody else": (INVALID, lambda g: g.token(audience="another-service")),
    "for nobody": (INVALID, lambda g: g.token(audience=None)),
    "aud is a number": (INVALID, with_claims(aud=7)),
    "aud holds a number": (INVALID, with_claims(aud=[AUDIENCE, 7])),
    "sub is a list": (INVALID, with_claims(sub=["ann"])),
    "claims are a list": (INVALID, lambda g: signed(g.ours, {"alg": "RS256"}, [])),
    "claims are no JSON": (INVALID, lambda g: signed(g.ours, {"alg": "RS256"}, "{")),
    "header is a list": (INVALID, always(f"{written([])}.e30.e30")),
    "header is no JSON": (INVALID, always(f"{written('{')}.e30.e30")),
    "header is nested": (INVALID, lambda g: nested(g, 0)),
    "claims are nested": (INVALID, lambda g: nested(g, 1)),
    "not base64": (INVALID, always("!!!.???.###")),
    "huge": (INVALID, lambda g: g.token(claims={"more": "x" * LONGEST_B})),
    "one part": (MISSING, always("token")),
    "two parts": (MISSING, always("e30.e30")),
    "four parts": (MISSING, lambda g: g.token() + ".e30"),
    "five parts, encrypted": (MISSING, always("e30.e30.e30.e30.e30")),
    "not ASCII": (MISSING, lambda g: "é" + g.token()),
    "a NUL in it": (INVALID, lambda g: g.token() + "\0"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_token_that_is_bad_in_one_way_is_refused_in_the_known_words(
    ground: Ground, name: str
) -> None:
    words, made = BAD[name]
    token = made(ground)
    with pytest.raises(Unauthorised) as refused:
        ground.authenticator.check(bearer(token))
    assert str(refused.value) == words
    assert refused.value.remedy
    if "256" in name or "RS" in name or "alg" in name:
        assert "signed with RS256" in refused.value.remedy
    told = f"{refused.value} {refused.value!r} {refused.value.remedy} {refused.value.__context__}"
    assert not any(part in told for part in token.split(".") if len(part) > 6)
    assert "PRIVATE" not in told


def test_a_token_that_is_ours_but_for_one_thing_would_have_been_good(ground: Ground) -> None:
    """So that the refusals above are for what they name."""
    claims = read(ground.token().split(".")[1])
    assert ground.authenticator.check(bearer(signed(ground.ours, {"alg": "RS256"}, claims)))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer a b")],
        [(b"authorization", b"Digest abc")],
        [(b"authorization", b"Basic !!!")],
        [(b"authorization", b"Basic YW5u")],
        [(b"cookie", b"token=")],
        [(b"cookie", b"; ;=;token")],
        [(b"x-token", b"a.b.c")],
    ],
)
def test_what_is_no_authentication_is_missing(ground: Ground, headers: Headers) -> None:
    with pytest.raises(Unauthorised, match=MISSING) as refused:
        ground.authenticator.check(headers)
    assert "Bearer" in refused.value.remedy


def test_two_authorization_headers_are_none(ground: Ground) -> None:
    """Of two, a proxy may check one and the service another."""
    good = bearer(ground.token())
    with pytest.raises(Unauthorised, match=MISSING) as refused:
        ground.authenticator.check([*good, *good])
    assert "send one" in refused.value.remedy


def test_of_two_cookies_none_is_taken_unless_they_are_the_same(ground: Ground) -> None:
    good = ground.token()
    assert ground.authenticator.check([(b"cookie", f"token={good}; token={good}".encode())])
    with pytest.raises(Unauthorised, match=MISSING):
        ground.authenticator.check([(b"cookie", f"token={good}; token=a.b.c".encode())])


def test_a_bad_header_is_not_made_good_by_a_cookie(ground: Ground) -> None:
    cookie = (b"cookie", f"token={ground.token()}".encode())
    with pytest.raises(Unauthorised, match=INVALID):
        ground.authenticator.check([*bearer("a.b.c"), cookie])


def test_another_scope_is_not_enough_and_it_says_which_is(ground: Ground) -> None:
    for scopes, got in ((["worker", "admin"], ("admin", "worker")), ([], ())):
        with pytest.raises(Forbidden, match="Insufficient scope") as refused:
            ground.authenticator.check(bearer(ground.token(scopes=scopes)), "sdapi")
        assert (refused.value.need, refused.value.got) == ("sdapi", got)
        assert "sdapi" in refused.value.remedy
    none = ground.authenticator.check(bearer(ground.token(scopes=[])))
    assert none.scopes == frozenset()


# --- What is remembered -----------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each time a signature is looked at."""
    looks: list[str] = []
    real = jwt.decode

    def decode(token: Any, *args: Any, **options: Any) -> Any:
        looks.append("look")
        return real(token, *args, **options)

    monkeypatch.setattr(jwt, "decode", decode)
    return looks


def test_a_good_token_is_checked_once_and_again_when_it_has_ended(
    ground: Ground, decoded: list[str]
) -> None:
    clock = Clock()
    pem = public_pem(ground.ours.public_key()).decode()
    authenticator = Authenticator(tokens=TokenChecker([pem], clock=clock))
    token = bearer(ground.token(life_s=100))
    for _ in range(3):
        authenticator.check(token)
    assert len(decoded) == 1
    clock.now += 200
    authenticator.check(token)
    assert len(decoded) == 2


def test_a_remembered_token_is_refused_when_it_is_over(ground: Ground) -> None:
    pem = public_pem(ground.ours.public_key()).decode()
    authenticator = Authenticator(tokens=TokenChecker([pem], leeway_s=0))
    token = bearer(ground.token(life_s=2))
    authenticator.check(token)

    def is_over() -> bool:
        try:
            authenticator.check(token)
        except Unauthorised as error:
            return str(error) == EXPIRED
        return False

    wait_until(is_over, 30)


def test_only_so_many_tokens_are_remembered(ground: Ground, decoded: list[str]) -> None:
    pem = public_pem(ground.ours.public_key()).decode()
    authenticator = Authenticator(tokens=TokenChecker([pem], remembered=3))
    tokens = [bearer(ground.token()) for _ in range(5)]
    for token in tokens:
        authenticator.check(token)
    authenticator.check(tokens[-1])
    assert len(decoded) == 5
    authenticator.check(tokens[0])
    assert len(decoded) == 6


def test_a_bad_token_is_never_remembered_as_good(ground: Ground) -> None:
    token = bearer(ground.token(key=ground.strangers))
    for _ in range(3):
        with pytest.raises(Unauthorised):
            ground.authenticator.check(token)


# --- Passwords beside tokens, and an event loop -----------------------------------------------


def basic(name: str, password: str) -> Headers:
    return [(b"authorization", b"Basic " + base64.b64encode(f"{name}:{password}".encode()))]


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("lab") / "passwords"
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    file.write_text(f"ann:sdapi:{quick.hash('pass: wörd')}\n")
    return file


def test_a_name_and_a_password_do_as_well(ground: Ground, passwords: Path) -> None:
    pem = public_pem(ground.ours.public_key()).decode()
    either = Authenticator(tokens=TokenChecker([pem]), passwords=PasswordFile(passwords))
    login = either.check(basic("ann", "pass: wörd"), "sdapi")
    assert login == Principal("ann", frozenset({"sdapi"}), ambient=True)
    assert either.check(bearer(ground.token())).subject == "ann"
    assert [challenge.split()[0] for challenge in either.challenges] == ["Bearer", "Basic"]
    for headers in (basic("ann", "wrong"), basic("ann", "wrong"), basic("bob", "pass: wörd")):
        with pytest.raises(Unauthorised, match="Wrong name or password"):
            either.check(headers)
    with pytest.raises(Forbidden):
        either.check(basic("ann", "pass: wörd"), "worker")


def test_what_a_service_does_not_take_it_says(ground: Ground, passwords: Path) -> None:
    with pytest.raises(Unauthorised, match=MISSING) as refused:
        ground.authenticator.check(basic("ann", "x"))
    assert "token" in refused.value.remedy
    by_password = Authenticator(passwords=PasswordFile(passwords))
    for headers in (bearer(ground.token()), []):
        with pytest.raises(Unauthorised, match=MISSING) as refused:
            by_password.check(headers)
        assert "password" in refused.value.remedy
    assert [challenge.split()[0] for challenge in by_password.challenges] == ["Basic"]


@pytest.fixture
def held(passwords: Path) -> Iterator[tuple[Authenticator, threading.Lock]]:
    """Passwords whose checks take as long as the lock is held."""
    file = PasswordFile(passwords)
    with file._checking:
        yield Authenticator(passwords=file), file._checking


@pytest.fixture
def submitted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each check that was given to a thread."""
    checks: list[str] = []
    real = ThreadPoolExecutor.submit

    def submit(self: ThreadPoolExecutor, *args: Any) -> Any:
        checks.append("check")
        return real(self, *args)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)
    return checks


def test_an_event_loop_is_not_held_by_a_password_and_many_wait_for_one_check(
    held: tuple[Authenticator, threading.Lock], submitted: list[str]
) -> None:
    authenticator, lock = held

    async def many() -> list[Principal]:
        asked = [authenticator.admit(basic("ann", "pass: wörd"), "sdapi") for _ in range(200)]
        task = asyncio.gather(*asked)
        await asyncio.sleep(0)
        assert not task.done()
        lock.release()
        return await task

    found = asyncio.run(many())
    lock.acquire()
    assert {one.subject for one in found} == {"ann"}
    assert len(submitted) == 1


def test_one_who_goes_away_takes_nobody_along(
    held: tuple[Authenticator, threading.Lock],
) -> None:
    authenticator, lock = held

    async def two() -> Principal:
        wrong = [authenticator.admit(basic("ann", f"wrong {n}")) for n in range(SLOW_AT_ONCE)]
        before = asyncio.gather(*wrong, return_exceptions=True)
        await asyncio.sleep(0)
        login = basic("ann", "pass: wörd")  # no thread is left for it
        gone = asyncio.create_task(authenticator.admit(login))
        stays = asyncio.create_task(authenticator.admit(login))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        lock.release()
        assert [str(one) for one in await before] == ["Wrong name or password"] * SLOW_AT_ONCE
        return await stays

    assert asyncio.run(two()).subject == "ann"
    lock.acquire()


def test_an_answer_for_which_nobody_waits_any_more_is_no_trouble(
    held: tuple[Authenticator, threading.Lock], caplog: pytest.LogCaptureFixture
) -> None:
    authenticator, lock = held

    async def leave() -> None:
        gone = asyncio.create_task(authenticator.admit(basic("ann", "wrong")))
        await asyncio.sleep(0)
        gone.cancel()
        lock.release()
        with pytest.raises(Unauthorised):  # who comes later hears of it
            await authenticator.admit(basic("ann", "wrong"))

    asyncio.run(leave())
    lock.acquire()
    gc.collect()
    assert not caplog.records


def test_more_passwords_than_can_be_checked_are_put_off(
    held: tuple[Authenticator, threading.Lock],
) -> None:
    authenticator, lock = held

    async def flood() -> list[Any]:
        asked = [authenticator.admit(basic("ann", f"{n}" + "x" * 2000)) for n in range(100)]
        task = asyncio.gather(*asked, return_exceptions=True)
        await asyncio.sleep(0)
        lock.release()
        return await task

    said = asyncio.run(flood())
    lock.acquire()
    assert [type(one) for one in said].count(Overloaded) == 100 - SLOW_WAITING
    assert {one.retry_after_s for one in said if isinstance(one, Overloaded)} == {1.0}
    assert sum(isinstance(one, Unauthorised) for one in said) == SLOW_WAITING


def test_nothing_secret_is_in_what_is_printed(ground: Ground) -> None:
    for headers in (bearer(ground.token()), basic("ann", "pass: wörd")):
        shown = repr(credentials_of(headers))
        assert "wörd" not in shown
        assert "eyJ" not in shown
